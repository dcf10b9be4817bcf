package dns

import "encoding/binary"

// placed is an RRset in a section of a reply.
type placement struct {
	name     string // of its owner; empty is the question's
	set      *rrset
	ttl      uint32
	required bool // a reply without it is truncated
}

// part is an RRset in a template.
type templatePart struct {
	end      uint16 // of it, in the template
	count    uint16 // of its records
	section  uint8  // 0 answer, 1 authority, 2 additional
	required bool
}

// renderer writes templates: what follows the question in replies, in wire
// form, with the names compressed (RFC 1035 section 4.1.4).
//
// All positions count from the end of the question's name, which is at 12
// octets and the name's length in the message: before it are the suffixes of
// the name, 4 octets behind it the template begins. If the question's name is
// known, pointers are written as they are sent. Else they are written as
// 0xc000 and their position, and for each reply the length is added to those
// at moves; a pointer to the question's name as a whole is always 0xc00c.
type renderer struct {
	buf         []byte
	parts       []templatePart
	relocations []uint16

	nameKnown   bool                    // the question's name is known
	behindDNAME bool                    // the template may come behind DNAME records
	nameEnd     int                     // of the question's name in the message, the greatest that it can be if it is not known
	zone        string                  // the suffix of the question's name that is always there; the name itself if it is known
	positions   map[string]namePosition // names, in lower case; empty before the first is asked for
}

// spot is where a name is.
type namePosition struct {
	position int
	pointers int // that lead from it, one to the next
}

const (
	pointer = 0xc000

	// maxPointers is how many pointers lead from a name, one to the next. Go's
	// resolver gives up above 10; a chain behind DNAME records adds some.
	maxPointers = 7

	maxPointer = 0x3fff // a position behind it cannot be pointed to

	// maxPrefix is the most that can be before a template that is grafted to a
	// chain: the question, and for each link a DNAME and a CNAME record.
	maxPrefix = HeaderSize + maxName + 4 + (maxChain+1)*2*(2+10+maxName)
)

// within reports whether a position can be pointed to wherever the template
// may be.
func (r *renderer) canPointTo(position int) bool {
	if r.behindDNAME && maxPrefix+position > maxPointer {
		return false
	}
	return r.nameEnd+position <= maxPointer
}

// start begins a template for the question's name, or for all those that end
// in name, with at least one label more.
func (r *renderer) startTemplate(name string, nameKnown bool) {
	r.buf, r.parts, r.relocations = r.buf[:0], r.parts[:0], r.relocations[:0]
	r.nameKnown, r.zone, r.nameEnd = nameKnown, name, HeaderSize+maxName
	if nameKnown {
		r.nameEnd = HeaderSize + len(name)
	}
	if r.positions == nil {
		r.positions = make(map[string]namePosition)
	}
	clear(r.positions)
}

// append writes an RRset. It reports whether that fits into a message.
func (r *renderer) appendSet(p placement, section uint8) bool {
	layout := layoutOf(p.set.rtype)
	for _, data := range p.set.data {
		r.appendName(p.name, true, section < 2)
		r.buf = binary.BigEndian.AppendUint16(r.buf, p.set.rtype)
		r.buf = binary.BigEndian.AppendUint16(r.buf, classIN)
		r.buf = binary.BigEndian.AppendUint32(r.buf, p.ttl)
		at := len(r.buf)
		r.buf = append(r.buf, 0, 0)
		r.buf = append(r.buf, data[:layout.skip]...)
		rest := data[layout.skip:]
		for range layout.names {
			n := nameLength(rest)
			r.appendName(rest[:n], layout.compress, section < 2)
			rest = rest[n:]
		}
		r.buf = append(r.buf, rest...)
		binary.BigEndian.PutUint16(r.buf[at:], uint16(len(r.buf)-at-2))
		if len(r.buf) > maxTCPSize {
			return false
		}
	}
	r.parts = append(r.parts, templatePart{uint16(len(r.buf)), uint16(len(p.set.data)), section, p.required})
	return true
}

// name writes a name. What has been written before of its suffixes is pointed
// to; with note, the rest of them can be pointed to later. That is not so in
// the additional section, where RRsets may be left out.
func (r *renderer) appendName(name string, compress, remember bool) {
	if name == "" {
		r.buf = append(r.buf, pointer>>8, HeaderSize)
		return
	}
	if len(r.positions) == 0 {
		for s := r.zone; s != "\x00"; s = parentName(s) {
			r.positions[s] = namePosition{-len(s), 0}
		}
		r.positions["\x00"] = namePosition{} // never pointed to; the map is not empty
	}
	low := lowerName(name)
	end, to := "\x00", namePosition{pointers: -1} // the suffix that is pointed to
	for s := low; compress && s != "\x00"; s = parentName(s) {
		if at, ok := r.positions[s]; ok && at.pointers < maxPointers {
			end, to = s, at
			break
		}
	}
	for rest := name; ; rest, low = parentName(rest), parentName(low) {
		if low == end {
			break
		}
		if _, ok := r.positions[low]; !ok && remember {
			if position := len(r.buf) + 4; r.canPointTo(position) {
				r.positions[low] = namePosition{position, to.pointers + 1}
			}
		}
		r.buf = append(r.buf, rest[:1+int(rest[0])]...)
	}
	if end == "\x00" {
		r.buf = append(r.buf, 0)
	} else {
		r.appendPointer(to.position)
	}
}

func (r *renderer) appendPointer(position int) {
	if r.nameKnown {
		position += r.nameEnd
	} else {
		r.relocations = append(r.relocations, uint16(len(r.buf)))
	}
	r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(pointer+position))
}
