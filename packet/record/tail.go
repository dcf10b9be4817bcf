package record

import (
	"net/netip"
	"strconv"
	"time"
)

// Tail writes the end of a record: when, from where and by whom the datagram
// was received. Each handler has its own, made once by NewTail: it remembers
// what the last record said, and is not for use by two threads at a time.
type Tail struct {
	constant   []byte // listener and shard
	receivedAt time.Time
	received   []byte // receivedAt, rendered
	source     netip.AddrPort
	sender     []byte // source, rendered: senders come in runs
	scratch    []byte
}

// NoShard stands for the shard of records of what came by another way.
const NoShard = -1

// NewTail returns the Tail of one shard of a listener, or of NoShard.
func NewTail(listener string, shard int) Tail {
	constant := []byte(`"listener":`)
	constant = AppendString(constant, []byte(listener))
	if shard != NoShard {
		constant = append(constant, `,"shard":`...)
		constant = strconv.AppendInt(constant, int64(shard), 10)
	}
	return Tail{constant: constant}
}

// Append ends the record whose object dst holds: it appends received_at,
// source, listener, shard, format, malformed and truncated, the closing brace
// and the newline. dst ends with the object's opening brace or with its last
// member. format and malformed are keywords that need no escape; an empty one
// has no member, and neither have an invalid source and a false truncated.
func (t *Tail) Append(
	dst []byte, receivedAt time.Time, source netip.AddrPort, format, malformed string, truncated bool,
) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	// Compared as a value, not with Equal: another zone or clock reading
	// only costs a rendering.
	if receivedAt != t.receivedAt || len(t.received) == 0 {
		t.receivedAt = receivedAt
		t.received = append(t.received[:0], `"received_at":`...)
		t.received = AppendTime(t.received, receivedAt)
		t.received = append(t.received, ',')
	}
	dst = append(dst, t.received...)
	if source.IsValid() {
		if source != t.source {
			t.source = source
			t.sender = append(t.sender[:0], `"source":`...)
			t.sender = append(t.appendSource(t.sender, source), ',')
		}
		dst = append(dst, t.sender...)
	}
	dst = append(dst, t.constant...)
	if format != "" {
		dst = append(dst, `,"format":"`...)
		dst = append(dst, format...)
		dst = append(dst, '"')
	}
	if malformed != "" {
		dst = append(dst, `,"malformed":"`...)
		dst = append(dst, malformed...)
		dst = append(dst, '"')
	}
	if truncated {
		dst = append(dst, `,"truncated":true`...)
	}
	return append(dst, '}', '\n')
}

// appendSource appends the address as a JSON string. Only a zone, which is
// the name of an interface, can need an escape.
func (t *Tail) appendSource(dst []byte, source netip.AddrPort) []byte {
	if source.Addr().Zone() != "" {
		t.scratch = source.AppendTo(t.scratch[:0])
		return AppendString(dst, t.scratch)
	}
	dst = append(dst, '"')
	dst = source.AppendTo(dst)
	return append(dst, '"')
}
