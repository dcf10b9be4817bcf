package dnsrecord

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"testing"
	"time"

	"github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// An exchange is an AUTH_QUERY and, with a reply, an AUTH_RESPONSE: as frames, or as a line of base64.
func TestDnstap(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*Exchange)
		messages int
	}{
		{"answered", func(*Exchange) {}, 2},
		{"over TCP", func(e *Exchange) { e.Transport = TCP }, 2},
		{"not answered", func(e *Exchange) { e.Reply, e.Zone = nil, nil }, 1},
	} {
		e := answered()
		c.change(&e)
		frames := NewDnstap("host", "version", false).Append([]byte("before"), &e)[len("before"):]
		line := NewDnstap("host", "version", true).Append(nil, &e)
		if want := base64.StdEncoding.EncodeToString(frames) + "\n"; string(line) != want {
			t.Errorf("%s: the line is %q, want %q", c.name, line, want)
		}
		var messages []*dnstap.Message
		for len(frames) > 0 {
			length := binary.BigEndian.Uint32(frames)
			var d dnstap.Dnstap
			if err := proto.Unmarshal(frames[4:4+length], &d); err != nil {
				t.Fatal(err)
			}
			messages, frames = append(messages, d.Message), frames[4+length:]
		}
		if len(messages) != c.messages {
			t.Fatalf("%s: %d messages", c.name, len(messages))
		}
		for i, m := range messages {
			isQuery := i == 0
			at := time.Unix(int64(m.GetResponseTimeSec()), int64(m.GetResponseTimeNsec()))
			switch {
			case (m.GetType() == dnstap.Message_AUTH_QUERY) != isQuery,
				(m.GetSocketProtocol() == dnstap.SocketProtocol_TCP) != (e.Transport == TCP),
				!bytes.Equal(m.QueryZone, e.Zone),
				isQuery && (!bytes.Equal(m.QueryMessage, e.Message) || m.ResponseMessage != nil),
				!isQuery && (!bytes.Equal(m.ResponseMessage, e.Reply) || m.QueryMessage != nil || !at.Equal(e.ReceivedAt.Add(e.Duration))):
				t.Errorf("%s: message %d: %v", c.name, i, m)
			}
		}
	}
}
