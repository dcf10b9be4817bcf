package loadgen

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

func TestSummary(t *testing.T) {
	result := Result{
		Run: "k", To: netip.MustParseAddrPort("127.0.0.1:9"), Flows: []uint64{6, 4}, Sent: 10, Bytes: 750, Missed: 3,
		Elapsed: 2 * time.Second, Unreachable: 1, Errors: map[string]uint64{"ENOBUFS": 2},
	}
	good := NewSummary(Config{Rate: 5}, result)
	refused := good
	refused.Refused = 10
	lossy := good
	lossy.Records = &Report{Total: FlowReport{Sent: 10, Arrived: 9, Lost: 1}, Strange: 1}
	for flow := range 2 * maxFlowRows {
		lossy.Records.Flows = append(lossy.Records.Flows, FlowReport{Flow: flow, Lost: 1})
	}
	delivered := good
	delivered.Receiver = &Arrival{Listener: "syslog", Address: ":9", Sent: 10, Received: 11, More: 1, Shards: []metrics.Reading{{Received: 11}}}
	missing := good
	missing.Receiver = &Arrival{Listener: "syslog", Address: ":9", Sent: 10, Received: 4, InFlight: 1, Waiting: 1, Lost: 2, QueueBytes: 2304,
		Dropped: metrics.Drops{Kernel: 1, Output: 1, RateLimited: 1}}
	for name, c := range map[string]struct {
		summary Summary
		verdict string // "": none
		prints  []string
	}{
		"sent": {good, "", []string{
			"sent    10 datagrams, 750 bytes, to 127.0.0.1:9 from 2 flows as run k", "rate    5 datagrams/s of 5/s asked, 375 bytes/s",
			"missed  3 datagrams: the sender was too slow for the rate", "bounced  1 datagrams: not delivered by the network", "errors  2 datagrams: ENOBUFS",
		}},
		"refused": {refused, "no socket listens at 127.0.0.1:9: datagrams were refused (ICMP port unreachable)", []string{"refused  10 datagrams: no socket listens"}},
		"lossy": {lossy, "1 of 10 datagrams did not arrive", []string{
			" all  10  9  1  0  0", "and 20 more flows with losses, doubles or reordering", "1 records have the name of this run, but a flow or number that was not sent",
		}},
		"delivered": {delivered, "", []string{"all 10 delivered by listener syslog at :9", "1 more arrived than were sent: another sender uses the port"}},
		"missing": {missing, "7 of 10 datagrams were not delivered: 1 dropped by the kernel at a full receive queue, ", []string{
			"7 of 10 not delivered by listener syslog at :9: ", "1 rate_limited", "1 dropped at the output", "1 in flight to the output",
			"1 still in receive queues (2.2KiB), or lost on the way to the port", "2 lost on the way to the port",
		}},
	} {
		if err := c.summary.Verdict(); err == nil && c.verdict != "" || err != nil && (c.verdict == "" || !strings.HasPrefix(err.Error(), c.verdict)) {
			t.Errorf("%s: %v, want %s", name, err, c.verdict)
		}
		var out bytes.Buffer
		c.summary.Print(&out)
		text := strings.Join(strings.FieldsFunc(out.String(), func(r rune) bool { return r == ' ' || r == '\n' }), " ")
		for _, want := range c.prints {
			if !strings.Contains(text, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: %q is not in\n%s", name, want, &out)
			}
		}
	}
	if hint := cli.Hint(refused.Verdict()); hint != "udpshard serve --listen 127.0.0.1:9" {
		t.Errorf("hint %q", hint)
	}
}
