package syslog

import (
	"net/netip"
	"testing"
	"time"

	"github.com/udpshard/udpshard/packet"
)

// lines is a packet.Sink that keeps the committed records.
type lines struct{ buf []byte }

func (l *lines) Buffer() []byte    { return l.buf }
func (l *lines) Commit(buf []byte) { l.buf = buf }
func (l *lines) Flush()            {}

// handlerBatch returns a batch of datagrams of several forms.
func handlerBatch(sink packet.Sink) *packet.Batch {
	batch := packet.NewBatch(8, 0, sink)
	batch.Reset(time.Date(2023, 10, 11, 22, 14, 15, 3_000_000, time.UTC))
	for _, d := range []struct {
		source, payload string
		truncated       bool
	}{
		{"192.0.2.1:514", "<34>1 2023-10-11T22:14:15Z h su - ID47 - x\n", false},
		{"[2001:db8::1]:514", "<34>Oct 11 22:14:15 h su: x", true},
		{"[fe80::1%eth0]:514", "x", false},
		{"192.0.2.2:514", "<34>1 2023-13-11T22:14:15Z h su - ID47 - x", false},
		{"192.0.2.2:515", "\n", false},
		{"192.0.2.2:516", "<34>1 2023-10-11T22:14:15Z h su - ID47 [a b=c] x", true},
	} {
		batch.Datagrams = append(batch.Datagrams, packet.Datagram{
			Payload: []byte(d.payload), Source: netip.MustParseAddrPort(d.source), Truncated: d.truncated,
		})
	}
	return batch
}

func TestHandler(t *testing.T) {
	var sink lines
	batch := handlerBatch(&sink)
	h := NewHandler("lab", 2)
	h.Location = time.FixedZone("", -3*3600)
	h.Handle(batch)

	const want = `{"timestamp":"2023-10-11T22:14:15Z","hostname":"h","appname":"su","msgid":"ID47","facility":"auth","severity":"crit","message":"x","received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.1:514","listener":"lab","shard":2,"format":"rfc5424"}
{"timestamp":"2023-10-11T22:14:15-03:00","hostname":"h","appname":"su","facility":"auth","severity":"crit","message":"x","received_at":"2023-10-11T22:14:15.003000Z","source":"[2001:db8::1]:514","listener":"lab","shard":2,"format":"rfc3164","truncated":true}
{"message":"x","received_at":"2023-10-11T22:14:15.003000Z","source":"[fe80::1%eth0]:514","listener":"lab","shard":2,"format":"unparsed"}
{"facility":"auth","severity":"crit","message":"1 2023-13-11T22:14:15Z h su - ID47 - x","received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.2:514","listener":"lab","shard":2,"format":"unparsed"}
{"received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.2:515","listener":"lab","shard":2,"format":"unparsed"}
{"timestamp":"2023-10-11T22:14:15Z","hostname":"h","appname":"su","msgid":"ID47","facility":"auth","severity":"crit","message":"[a b=c] x","received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.2:516","listener":"lab","shard":2,"format":"rfc5424","malformed":"structured_data","truncated":true}
`
	if got := string(sink.buf); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := batch.Tally(), (packet.Tally{Recorded: 6, Unparsed: 3, MalformedHeader: 1}); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}

func TestRFC5424Handler(t *testing.T) {
	var sink lines
	batch := handlerBatch(&sink)
	h := RFC5424Handler{Location: time.FixedZone("", -3*3600)}
	h.Handle(batch)

	const want = `<34>1 2023-10-11T22:14:15Z h su - ID47 [udpshard@32473 ip="192.0.2.1" port="514"] x
<34>1 2023-10-11T22:14:15-03:00 h su - - [udpshard@32473 ip="2001:db8::1" port="514" truncated="true"] x
<13>1 2023-10-11T22:14:15.003000Z - - - - [udpshard@32473 ip="fe80::1%eth0" port="514"] x
<34>1 2023-10-11T22:14:15.003000Z - - - - [udpshard@32473 ip="192.0.2.2" port="514"] 1 2023-13-11T22:14:15Z h su - ID47 - x
<13>1 2023-10-11T22:14:15.003000Z - - - - [udpshard@32473 ip="192.0.2.2" port="515"]
<34>1 2023-10-11T22:14:15Z h su - ID47 [udpshard@32473 ip="192.0.2.2" port="516" truncated="true"] [a b=c] x
`
	if got := string(sink.buf); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := batch.Tally(), (packet.Tally{Recorded: 6, Unparsed: 3, MalformedHeader: 1}); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}
