package record

import (
	"net/netip"
	"strconv"
	"time"
)

// Tail writes the end of a record: time of receipt, source, listener and shard. Each handler has a
// Tail of its own, made by NewTail. A Tail keeps what was rendered for the last record, so two
// threads cannot share a Tail.
type Tail struct {
	listenerText []byte // listener and shard, as JSON
	receivedAt   time.Time
	receivedText []byte // receivedAt, as JSON
	source       netip.AddrPort
	sourceText   []byte // source, as JSON: senders come in runs
	scratch      []byte
}

// NoShard is the shard in records of data that did not arrive at a shard.
const NoShard = -1

// NewTail returns the Tail of one shard of a listener, or of NoShard.
func NewTail(listener string, shard int) Tail {
	text := []byte(`"listener":`)
	text = AppendString(text, []byte(listener))
	if shard != NoShard {
		text = append(text, `,"shard":`...)
		text = strconv.AppendInt(text, int64(shard), 10)
	}
	return Tail{listenerText: text}
}

// Append ends the record in dst: Append adds received_at, source, listener, shard, format,
// malformed and truncated, the closing brace and the newline. dst ends with the object's opening
// brace or with its last member. format and malformed are keywords that need no escape. An empty
// keyword has no member; nor have an invalid source and a false truncated.
func (t *Tail) Append(
	dst []byte, receivedAt time.Time, source netip.AddrPort, format, malformed string, truncated bool,
) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	// Compared as a value, not with Equal: another zone or clock reading only costs a rendering.
	if receivedAt != t.receivedAt || len(t.receivedText) == 0 {
		t.receivedAt = receivedAt
		t.receivedText = append(t.receivedText[:0], `"received_at":`...)
		t.receivedText = AppendTime(t.receivedText, receivedAt)
		t.receivedText = append(t.receivedText, ',')
	}
	dst = append(dst, t.receivedText...)
	if source.IsValid() {
		if source != t.source {
			t.source = source
			t.sourceText = append(t.sourceText[:0], `"source":`...)
			t.sourceText = append(t.appendSource(t.sourceText, source), ',')
		}
		dst = append(dst, t.sourceText...)
	}
	dst = append(dst, t.listenerText...)
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

// appendSource appends the address as a JSON string. Only an IPv6 zone, the name of an interface,
// may need an escape.
func (t *Tail) appendSource(dst []byte, source netip.AddrPort) []byte {
	if source.Addr().Zone() != "" {
		t.scratch = source.AppendTo(t.scratch[:0])
		return AppendString(dst, t.scratch)
	}
	dst = append(dst, '"')
	dst = source.AppendTo(dst)
	return append(dst, '"')
}
