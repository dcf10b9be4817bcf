// Package cookie makes and checks the server cookies of DNS (RFC 7873) in the interoperable form of
// RFC 9018: all servers with the same secret accept a cookie that one of them has made.
package cookie

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"
)

// Size is the length in bytes of the data of a COOKIE option in a reply: the client cookie, and a
// server cookie of RFC 9018.
const Size = clientSize + serverSize

// Lengths within a COOKIE option (RFC 7873 4, RFC 9018 4): 8 bytes of the client, then the server
// cookie, which has 8 to 32 bytes with other servers.
const (
	clientSize = 8
	serverSize = 16
	minSize    = clientSize + 8
	maxSize    = clientSize + 32
)

// A server cookie is accepted for an hour, and up to five minutes before its time, for servers with
// the same secret and slightly different clocks. A client gets a new cookie after half an hour (RFC
// 9018 4.3).
const (
	lifetime   = 3600 // seconds
	clockSkew  = 300
	renewAfter = 1800
)

// version is the only version in RFC 9018: three reserved bytes, a time, and SipHash-2-4 over the
// reserved bytes, the time, the client cookie and the client's address.
const version = 1

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

// Status is the result of checking the COOKIE option of a query.
type Status int

const (
	// None: no option. The reply has no option either (RFC 7873 5.2.1).
	None Status = iota
	// Client: a client cookie only; the client has no server cookie yet.
	Client
	// Good: a server with the same secret has given the cookie to this address. The source is not
	// forged.
	Good
	// Bad: the server cookie has another secret, is too old, or was given to another address. The
	// query counts as a query with a client cookie only (RFC 7873 5.2.4).
	Bad
	// Malformed: of an impossible length. The reply is FORMERR (RFC 7873 5.2.2).
	Malformed
)

// Keys make and check server cookies. Any thread may use Keys. With nil Keys cookies are ignored.
type Keys struct {
	inForce atomic.Pointer[[]key] // the first key makes cookies
}

type key struct{ k0, k1 uint64 }

// NewKeys returns Keys of secrets: see SetSecrets.
func NewKeys(secret Secret, others ...Secret) *Keys {
	k := new(Keys)
	k.SetSecrets(secret, others...)
	return k
}

// SetSecrets replaces the secrets, from the next query on. Cookies are made with secret, and
// accepted with secret and others: the former secret, for an hour after a change, or the next
// secret, while several servers change one by one (RFC 9018 5). Each other secret costs a hash for
// a cookie that is not good.
func (k *Keys) SetSecrets(secret Secret, others ...Secret) {
	var keys []key
	for _, s := range append([]Secret{secret}, others...) {
		keys = append(keys, key{binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])})
	}
	k.inForce.Store(&keys)
}

// Answer checks the data of a query's COOKIE option, nil for no option, and appends the data of the
// reply's option, Size bytes. With None and Malformed nothing is appended. A good cookie is sent
// back until it is half an hour old, or until the secret changes; all other clients get a new
// cookie. An IPv4-mapped client address counts as the IPv4 address. option must not share memory
// with dst.
func (k *Keys) Answer(dst, option []byte, client netip.Addr, now time.Time) ([]byte, Status) {
	n := len(option)
	switch {
	case k == nil || option == nil:
		return dst, None
	case n != clientSize && n < minSize || n > maxSize:
		return dst, Malformed
	}
	keys, status := *k.inForce.Load(), Client
	if n > clientSize {
		status = Bad
	}
	if n == Size && option[clientSize] == version {
		// The time wraps in 2106 (RFC 1982).
		age := int32(uint32(now.Unix()) - binary.BigEndian.Uint32(option[12:]))
		if age <= lifetime && age >= -clockSkew {
			var of int
			if of, status = check(keys, option, client); status == Good && of == 0 && age <= renewAfter {
				return append(dst, option...), Good
			}
		}
	}
	var head [16]byte
	copy(head[:], option[:clientSize])
	head[clientSize] = version
	binary.BigEndian.PutUint32(head[12:], uint32(now.Unix()))
	hash := keys[0].hash(head, client)
	return append(append(dst, head[:]...), hash[:]...), status
}

// check returns the index of the key that has made a cookie, and Good, or Bad. Reserved bytes are
// hashed as sent, as they may be nonzero.
func check(keys []key, option []byte, client netip.Addr) (of int, status Status) {
	for i := range keys {
		want := keys[i].hash([16]byte(option), client)
		if subtle.ConstantTimeCompare(want[:], option[16:]) == 1 {
			return i, Good
		}
	}
	return 0, Bad
}

// hash returns the last part of the server cookie (RFC 9018 4.4): the hash of the option's first 16
// bytes and the client's address.
func (k key) hash(head [16]byte, client netip.Addr) (sum [8]byte) {
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
