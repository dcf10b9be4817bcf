package dns

import (
	"strconv"

	"github.com/udpshard/udpshard/packet/record"
)

// appendRecord appends the members of a query's record, without the tail.
func (x *queryContext) appendRecord(dst []byte) []byte {
	q := &x.query
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendUint(dst, uint64(q.id), 10)
	if len(q.name) > 0 {
		x.nameText = appendName(x.nameText[:0], q.name)
		dst = append(dst, `,"name":`...)
		dst = record.AppendString(dst, x.nameText)
		dst = append(dst, `,"type":"`...)
		dst = appendType(dst, q.rtype)
		dst = append(dst, `","class":"`...)
		dst = appendClass(dst, q.class)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"opcode":"`...)
	dst = appendOpcode(dst, q.opcode())
	dst = append(dst, '"')
	if x.flags == 0 {
		return dst
	}
	dst = append(dst, `,"rcode":"`...)
	dst = appendRcode(dst, x.rcode)
	dst = append(dst, `","flags":[`...)
	for _, f := range flagNames {
		if x.flags&f.bit != 0 {
			dst = append(dst, f.text...)
		}
	}
	dst[len(dst)-1] = ']' // a reply has at least QR
	return dst
}

// flagNames are the flags of the header, by the names that dig prints.
var flagNames = []struct {
	bit  uint16
	text string
}{
	{1 << 15, `"qr",`}, {1 << 10, `"aa",`}, {1 << 9, `"tc",`}, {1 << 8, `"rd",`}, {1 << 7, `"ra",`}, {1 << 5, `"ad",`}, {1 << 4, `"cd",`},
}
