package dns

import (
	"encoding/binary"

	"github.com/udpshard/udpshard/internal/rdata"
)

const (
	maxName   = 255 // octets, including the root's (RFC 1035 section 2.3.4)
	maxLabels = 127 // with one octet each, in maxName octets
	maxLabel  = 63  // octets; a larger length octet is a pointer or reserved (RFC 1035 section 4.1.4)
)

// skipName returns the end of the name that begins at i, or -1 for an invalid name. A pointer ends
// the name (RFC 1035 section 4.1.4). Its target is not read, but must be before the pointer.
func skipName(message []byte, i int) int {
	for start := i; i < len(message); {
		switch n := int(message[i]); {
		case n == 0:
			return i + 1
		case n <= maxLabel:
			i += 1 + n
			if i-start >= maxName {
				return -1
			}
		case n >= 0xc0 && i+1 < len(message):
			if int(binary.BigEndian.Uint16(message[i:])&0x3fff) >= i {
				return -1
			}
			return i + 2
		default:
			return -1
		}
	}
	return -1
}

// lowerInto copies src to dst, with A to Z in lower case, 8 octets at a time. dst is at least as
// long as src. The lengths of labels are below 'A', so src may be a name in wire form.
func lowerInto(dst, src []byte) {
	i := 0
	for ; len(src)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], lowerWord(w))
	}
	for ; i < len(src); i++ {
		dst[i] = lowerByte(src[i])
	}
}

// lowerWord adds 0x20 to each byte from A to Z: of the sums without the high bit, the first carries
// into the high bit from 'A' on, the second from 'Z'+1 on.
func lowerWord(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w &^ (0x80 * ones)
	fromA, aboveZ := low+(0x80-'A')*ones, low+(0x7f-'Z')*ones
	upper := (fromA ^ aboveZ) &^ w & (0x80 * ones)
	return w | upper>>2
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func lowerName(name string) string {
	b := []byte(name)
	lowerInto(b, b)
	return string(b)
}

// parentName cuts off the first label of a name in wire form. The name is not the root.
func parentName(name string) string { return name[1+int(name[0]):] }

// isWithin reports whether name is zone or below zone. Both are in lower case.
func isWithin(name, zone string) bool {
	for len(name) > len(zone) {
		name = parentName(name)
	}
	return name == zone
}

func countLabels[S string | []byte](name S) (n int) {
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		n++
	}
	return n
}

// nameText returns a name in wire form as text of a master file, for errors.
func nameText(name string) string { return string(rdata.AppendName(nil, []byte(name))) }
