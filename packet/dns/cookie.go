package dns

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// Lengths within a COOKIE option (RFC 7873 4, RFC 9018 4): 8 bytes of the client, then the server
// cookie, which has 8 to 32 bytes with other servers.
const (
	clientCookieLen = 8
	serverCookieLen = 16
	minCookieLen    = clientCookieLen + 8
	maxCookieLen    = clientCookieLen + 32
	goodCookieLen   = clientCookieLen + serverCookieLen
)

// A server cookie is accepted for an hour, and up to five minutes before its time, for servers with
// the same secret and slightly different clocks (RFC 9018 4.3).
const (
	cookieLife = 3600 // seconds
	cookieSkew = 300
)

// cookieVersion is the only version in RFC 9018: three reserved bytes, a time, and SipHash-2-4 over
// the reserved bytes, the time, the client cookie and the client's address.
const cookieVersion = 1

// Secret is the key of server cookies. Servers that answer at the same address share a Secret (RFC
// 9018 5).
type Secret [16]byte

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// ParseSecret reads a Secret in the form of BIND and NSD: 32 hexadecimal digits. The error does not
// show the text.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	if len(text) != hex.EncodedLen(len(s)) {
		return s, fmt.Errorf("a cookie secret has %d hexadecimal digits, not %d characters", hex.EncodedLen(len(s)), len(text))
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return Secret{}, fmt.Errorf("a cookie secret has %d hexadecimal digits, and no other characters", hex.EncodedLen(len(s)))
	}
	return s, nil
}

// cookieStatus is the result of checking a query's COOKIE option.
type cookieStatus int

const (
	// cookieNone: no option. The reply has no option either (RFC 7873 5.2.1).
	cookieNone cookieStatus = iota
	// cookieClient: a client cookie only; the client has no server cookie yet.
	cookieClient
	// cookieGood: a server with the same secret has given the cookie to this address. The source is
	// not forged, so the rate limit does not apply.
	cookieGood
	// cookieBad: the server cookie has another secret, is too old, or was given to another address.
	// The query counts as a query with a client cookie only (RFC 7873 5.2.4).
	cookieBad
	// cookieMalformed: of an impossible length. The reply is FORMERR (RFC 7873 5.2.2).
	cookieMalformed
)

// Cookies checks and issues DNS cookies (RFC 7873) with the server cookies of RFC 9018. Any thread
// may use Cookies, which have no state. A Server with nil Cookies ignores cookies.
//
// A query with a good cookie is not rate limited. A query with only a client cookie, or a bad
// cookie, is rate limited, and the reply has a fresh cookie, so that the client's next query is
// exempt. Where a RateLimiter lets a response slip, such a client gets BADCOOKIE with the cookie
// instead of a truncated reply: the client asks again over UDP and is exempt, where TC would send
// the client to TCP. RFC 7873 5.2.3 leaves the choice between silence, BADCOOKIE and an answer to
// the server, as long as the server answers now and then. Below the limit the right choice is the
// answer: BADCOOKIE would cost each client's first query a round trip, and protect nothing.
type Cookies struct {
	keys []cookieKey // the first key issues
}

type cookieKey struct{ k0, k1 uint64 }

// NewCookies returns Cookies that issue cookies with secret, and accept cookies of secret and
// former. former is the previous secret, for an hour after a change, or the next secret, while
// several servers change one by one (RFC 9018 5). Each former secret costs another hash for a
// cookie that is not good.
func NewCookies(secret Secret, former ...Secret) *Cookies {
	c := new(Cookies)
	for _, s := range append([]Secret{secret}, former...) {
		c.keys = append(c.keys, cookieKey{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])})
	}
	return c
}

// check returns the status of a COOKIE option's data; nil is no option. An IPv4-mapped client
// address counts as the IPv4 address.
func (c *Cookies) check(option []byte, client netip.Addr, now time.Time) cookieStatus {
	switch n := len(option); {
	case c == nil || option == nil:
		return cookieNone
	case n == clientCookieLen:
		return cookieClient
	case n < minCookieLen || n > maxCookieLen:
		return cookieMalformed
	case n != goodCookieLen || option[clientCookieLen] != cookieVersion:
		return cookieBad
	}
	// The time wraps in 2106 (RFC 1982).
	age := int32(uint32(now.Unix()) - binary.BigEndian.Uint32(option[12:]))
	if age > cookieLife || age < -cookieSkew {
		return cookieBad
	}
	for _, key := range c.keys {
		// Reserved bytes are hashed as sent, as they may be nonzero.
		want := key.hash([16]byte(option), client)
		if subtle.ConstantTimeCompare(want[:], option[16:]) == 1 {
			return cookieGood
		}
	}
	return cookieBad
}

// appendCookie appends the data of the reply's COOKIE option: the client cookie and a fresh server
// cookie, 24 bytes. For an option that is cookieNone or cookieMalformed, nothing is appended. Every
// reply renews the cookie: RFC 9018 4.3 asks for a new cookie after half an hour, and permits a new
// cookie at any time. option may overlap the memory that dst grows into.
func (c *Cookies) appendCookie(dst, option []byte, client netip.Addr, now time.Time) []byte {
	if n := len(option); c == nil || n < clientCookieLen || n > clientCookieLen && n < minCookieLen || n > maxCookieLen {
		return dst
	}
	var head [16]byte
	copy(head[:], option[:clientCookieLen])
	head[clientCookieLen] = cookieVersion
	binary.BigEndian.PutUint32(head[12:], uint32(now.Unix()))
	hash := c.keys[0].hash(head, client)
	return append(append(dst, head[:]...), hash[:]...)
}

// hash returns the last part of the server cookie (RFC 9018 4.4): the hash of the option's first 16
// bytes and the client's address.
func (k cookieKey) hash(head [16]byte, client netip.Addr) (sum [8]byte) {
	var in [32]byte
	n := copy(in[:], head[:])
	if client = client.Unmap(); client.Is4() {
		a := client.As4()
		n += copy(in[n:], a[:])
	} else {
		a := client.As16()
		n += copy(in[n:], a[:])
	}
	binary.LittleEndian.PutUint64(sum[:], siphash.Hash(k.k0, k.k1, in[:n]))
	return sum
}
