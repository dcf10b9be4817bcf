package dns

import "encoding/binary"

// placement is an RRset in a section of a reply.
type placement struct {
	name     string // owner name; empty is the question's name
	set      *rrset
	ttl      uint32
	required bool // a reply without the RRset is truncated
}

// templatePart is an RRset in a template.
type templatePart struct {
	end      uint16 // offset in the template
	count    uint16 // number of records
	section  uint8  // 0 answer, 1 authority, 2 additional
	required bool
}

// renderer writes templates: the part of replies that follows the question, in wire form, with
// compressed names (RFC 1035 section 4.1.4).
//
// All positions count from the end of the question's name. In the message that end is at 12 octets
// and the length of the name: the suffixes of the name are before, and the template begins 4 octets
// behind. If the question's name is known, pointers are written as sent. Otherwise a pointer is
// written as 0xc000 and its position, and each reply adds the length to the pointers at
// relocations. A pointer to the question's whole name is always 0xc00c.
type renderer struct {
	buf         []byte
	parts       []templatePart
	relocations []uint16

	nameKnown   bool                    // the question's name is known
	behindDNAME bool                    // the template may be appended behind DNAME records
	nameEnd     int                     // of the question's name in the message; the largest possible offset if the name is not known
	zone        string                  // the known suffix of the question's name: the whole name if nameKnown
	positions   map[string]namePosition // of names in lower case; empty before the first name
}

// namePosition says where in the template a name is.
type namePosition struct {
	position int
	pointers int // length of the row of pointers in the name
}

const (
	pointer = 0xc000

	// maxPointers is the longest row of pointers from a name. Go's resolver gives up above 10; an
	// alias chain adds some.
	maxPointers = 7

	maxPointer = 0x3fff // the largest target of a pointer

	// maxPrefix is the most octets before a template in an alias chain: the question, and a DNAME
	// and a CNAME record for each link.
	maxPrefix = HeaderSize + maxName + 4 + (maxChain+1)*2*(2+10+maxName)
)

// canPointTo reports whether a pointer can lead to a position, wherever the template is appended.
func (r *renderer) canPointTo(position int) bool {
	if r.behindDNAME && maxPrefix+position > maxPointer {
		return false
	}
	return r.nameEnd+position <= maxPointer
}

// startTemplate begins a template for a known question's name, or for all names that end in name
// and have at least one label more.
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

// appendSet writes an RRset, and reports whether the RRset fits into a message.
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

// appendName writes a name, with a pointer to the longest suffix that was written before. If
// remember is set, later names can point to the new suffixes. Names of the additional section are
// not remembered, since a reply may leave its RRsets out.
func (r *renderer) appendName(name string, compress, remember bool) {
	if name == "" {
		r.buf = append(r.buf, pointer>>8, HeaderSize)
		return
	}
	if r.nameKnown && compress && name == r.zone && name != "\x00" {
		r.appendPointer(-len(name))
		return
	}
	if len(r.positions) == 0 {
		for s := r.zone; s != "\x00"; s = parentName(s) {
			r.positions[s] = namePosition{-len(s), 0}
		}
		r.positions["\x00"] = namePosition{} // never a target, but the map is no longer empty
	}
	low := lowerName(name)
	end, to := "\x00", namePosition{pointers: -1} // the suffix to point to
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
