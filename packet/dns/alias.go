package dns

import "encoding/binary"

// alias is a name in a reply that takes the place of the question's name.
type alias struct {
	name   [maxName + 1]byte // in wire form and lower case
	length int
	offset int // in the message, where the name may be compressed
}

// offsetOf returns the offset in the message of an octet of the name, the first octet of a label.
func (a *alias) offsetOf(m []byte, nameOctet int) int {
	for i := a.offset; ; {
		if m[i] > maxLabel {
			i = int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
			continue
		}
		if nameOctet <= 0 {
			return i
		}
		nameOctet -= 1 + int(m[i])
		i += 1 + int(m[i])
	}
}

// readFrom sets the alias to the name at an offset in the message.
func (a *alias) readFrom(m []byte, at int) {
	a.length, a.offset = 0, at
	for i := at; ; {
		if m[i] > maxLabel {
			i = int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
			continue
		}
		next := i + 1 + int(m[i])
		a.length += copy(a.name[a.length:], m[i:next])
		if m[i] == 0 {
			lowerInto(a.name[:], a.name[:a.length])
			return
		}
		i = next
	}
}

// equals reports whether the name is the same as the name at an offset in the message.
func (a *alias) equals(m []byte, at int) bool {
	for octet := 0; ; {
		if m[at] > maxLabel {
			at = int(binary.BigEndian.Uint16(m[at:]) & maxPointer)
			continue
		}
		for end := at + int(m[at]); at <= end; at++ {
			if a.name[octet] != lowerByte(m[at]) {
				return false
			}
			octet++
		}
		if octet == a.length {
			return true
		}
	}
}
