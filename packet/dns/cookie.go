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

// Lengths within a COOKIE option (RFC 7873 4, RFC 9018 4): the client's own 8
// bytes, then the server's, of which those of others have 8 to 32.
const (
	clientCookieLen = 8
	serverCookieLen = 16
	minCookieLen    = clientCookieLen + 8
	maxCookieLen    = clientCookieLen + 32
	goodCookieLen   = clientCookieLen + serverCookieLen
)

// A server cookie is accepted for an hour, and five minutes before its time,
// for servers that share a secret but not quite a clock (RFC 9018 4.3).
const (
	cookieLife = 3600 // seconds
	cookieSkew = 300
)

// cookieVersion is the only version that RFC 9018 defines: three reserved
// bytes, a time, and SipHash-2-4 over these, the client's cookie and address.
const cookieVersion = 1

// Secret is the key of server cookies. Servers that answer at one address
// share it (RFC 9018 5).
type Secret [16]byte

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// ParseSecret reads a Secret as BIND and NSD write theirs: 32 hexadecimal
// digits. Its error doesn't show what it was given.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	if len(text) != hex.EncodedLen(len(s)) {
		return s, fmt.Errorf("a cookie secret has %d hexadecimal digits, not %d characters", hex.EncodedLen(len(s)), len(text))
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return Secret{}, fmt.Errorf("a cookie secret has %d hexadecimal digits, not others", hex.EncodedLen(len(s)))
	}
	return s, nil
}

// cookieStatus is what a query says of itself with its COOKIE option.
type cookieStatus int

const (
	// cookieNone: no option. The answer has none either (RFC 7873 5.2.1).
	cookieNone cookieStatus = iota
	// cookieClient: a client's cookie alone; it has not met this server yet.
	cookieClient
	// cookieGood: this server, or one that shares the secret, has given the
	// cookie to this very address. The source is not forged, so its answers
	// are not limited.
	cookieGood
	// cookieBad: a server's cookie that is not ours, too old or not this
	// address's. The query is one with a client's cookie alone (RFC 7873 5.2.4).
	cookieBad
	// cookieMalformed: of a length that no cookie has. The answer is FORMERR
	// (RFC 7873 5.2.2).
	cookieMalformed
)

// Cookies checks and issues DNS cookies (RFC 7873) with the server cookies of
// RFC 9018. Any thread may call its methods; they keep nothing. A nil Cookies
// sees no cookies and issues none.
//
// A query whose cookie is good is answered without asking a RateLimiter. One
// with a client's cookie and none that is good counts there, and its answer
// has a fresh cookie, so that the client's next query is exempt. Where the
// RateLimiter says Slip to it, the answer is BADCOOKIE with that cookie and
// no records, rather than a truncated one: the client asks again over UDP and
// is exempt, where TC would send it to TCP. Where it says Drop, nothing is
// sent. RFC 7873 5.2.3 leaves the choice between silence, BADCOOKIE and an
// answer to the server, as long as it answers now and then. As long as the
// RateLimiter says Send, the right choice is the answer: BADCOOKIE would cost
// each client's first query a round trip, and guard nothing.
type Cookies struct {
	keys []cookieKey // the first issues
}

type cookieKey struct{ k0, k1 uint64 }

// NewCookies returns Cookies that issue with secret and accept what was
// issued with it or with one of former: the secret before, for an hour after
// a change, or the next one where several servers change one by one (RFC 9018
// 5). Each costs one hash more for a cookie that is not good.
func NewCookies(secret Secret, former ...Secret) *Cookies {
	c := new(Cookies)
	for _, s := range append([]Secret{secret}, former...) {
		c.keys = append(c.keys, cookieKey{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])})
	}
	return c
}

// Check says what the query's COOKIE option is: option is the option's data,
// nil where there is no option. client is whose query it is, with an
// IPv4-mapped address taken for the IPv4 address.
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
		// What is reserved is hashed as it came: it need not be zero.
		want := key.hash([16]byte(option), client)
		if subtle.ConstantTimeCompare(want[:], option[16:]) == 1 {
			return cookieGood
		}
	}
	return cookieBad
}

// Append appends the data of the answer's COOKIE option: the client's cookie
// and a fresh one of the server, 24 bytes. It appends nothing to an option
// that is cookieNone or cookieMalformed. Every answer renews the cookie: RFC
// 9018 4.3 asks for that once it is half an hour old, and permits it at any
// time. option may lie in the memory that dst grows into.
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

// hash is the server cookie's last part (RFC 9018 4.4), of what is before it in
// the option and the client's address.
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
