package statusreport

import (
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

// sample returns a report of an instance with losses.
func sample() *Report {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.Local)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	s := metrics.Status{
		Version: "0.1.0", ProcessStatus: metrics.ProcessStatus{PID: 4711}, Role: metrics.Active,
		StartedAt: ago(2 * time.Hour), CountersSince: ago(24 * time.Hour),
		Takeovers: metrics.TakeoverStatus{Upgrade: 2, Died: 1, Last: &metrics.LastTakeover{Reason: "upgrade", At: ago(2 * time.Hour)}},
		Standbys:  []metrics.StandbyStatus{{ProcessStatus: metrics.ProcessStatus{PID: 4712}, Version: "0.1.0"}},
		Listeners: []metrics.ListenerStatus{{
			Name: "日本\x1b[2J", Address: "[::]:5514\a", Protocol: "syslog", Steer: "auto", Skew: "shard 1 gets 60%",
			Shards: []metrics.Reading{
				{Shard: 0, CPU: 0, Received: 1_234_567, Bytes: 3 << 20, Delivered: 1_234_560, InFlight: 7,
					Dropped: metrics.Drops{Kernel: 1843}, LastDropped: metrics.DropTimes{Kernel: ago(12 * time.Second)}},
				{Shard: 1, CPU: 2, Received: 10, Bytes: 1000, Delivered: 10},
			},
			Steering:   metrics.Steering{StalledShards: []int{1}},
			TopSenders: []metrics.Sender{{Source: "192.0.2.7:514", PerSecond: 12_345, Percent: 60, Sprayed: true}},
			RefusedSenders: []metrics.RefusedSender{
				{Source: "2001:db8::/64", RateLimited: 98_765, PerSecond: 1200, LastAt: ago(time.Second)},
				{Source: "192.0.2.66", NotAllowed: 3, LastAt: ago(time.Hour)},
			},
			Outputs: []metrics.Output{{To: "tcp://192.0.2.9:6514", Spooled: 20, Acknowledged: 10, Waiting: 9, Rejected: 1,
				WaitingBytes: 2048, OldestWaiting: 61.2, Retries: 3, LastError: "connection refused"}},
		}},
	}
	return &Report{s, overview.Of(s, now), "127.0.0.1:9514", now}
}

const printed = `1,843 lost on 日本\x1b[2J, shard 0, last 12 s ago: the receive buffer was full: shard 1 gets 60% (1 more loss is listed)
remedy: udpshard doctor

instance   127.0.0.1:9514, active, pid 4711, version 0.1.0
running    2h0m0s, since 2026-11-29 10:00
counters   since 2026-11-28 12:00
takeovers  upgrade 2, died 1; last upgrade 2 h ago
standby    pid 4712, version 0.1.0

 lost  where                     reason    last      cause                                         remedy
1,843  on 日本\x1b[2J, shard 0   kernel    12 s ago  the receive buffer was full: shard 1 gets 60%  udpshard doctor
    1  at tcp://192.0.2.9:6514   rejected  unknown   the target refused these records for good      rejected.json in the spool has the records and the reasons

warning                                                                                           remedy
shard 1 of 日本\x1b[2J does not read its queue                                                    udpshard doctor
tcp://192.0.2.9:6514 fails: connection refused; waiting: 9 records, the oldest came 61 s ago      repair the target; until then, the spool keeps the records

listener 日本\x1b[2J: [::]:5514\a, protocol syslog, steer auto
skew: shard 1 gets 60%
shard  cpu   received    bytes  delivered  in flight  kernel  state
    0    0  1,234,567     3MiB  1,234,560          7   1,843
    1    2         10    1000B         10          0       0  stalled
  all       1,234,577     3MiB  1,234,570          7   1,843
0 in all shards: batches, replied, truncated, unparsed, malformed header, not allowed, rate limited, malformed, output, reply, lost in crash, queue bytes, buffer bytes

top sender     per second  share
192.0.2.7:514      12,345    60%  sprayed

refused sender  not allowed  rate limited  per second  last
2001:db8::/64             0        98,765       1,200  1 s ago
192.0.2.66                3             0           0  60 min ago

target                spooled  acknowledged  waiting  size  oldest  rejected  expired  resent  retries  last error
tcp://192.0.2.9:6514       20            10        9  2KiB    1m1s         1        0       0        3  connection refused
`

func TestPrint(t *testing.T) {
	var text strings.Builder
	sample().Print(&text)
	got, want := strings.Split(text.String(), "\n"), strings.Split(printed, "\n")
	squeeze := func(line string) string { return strings.Join(strings.Fields(line), " ") }
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || squeeze(got[i]) != squeeze(want[i]) {
			t.Fatalf("from line %d\n%s\nwant\n%s", i, strings.Join(got[min(i, len(got)):], "\n"), strings.Join(want[min(i, len(want)):], "\n"))
		}
	}
	if kernel := "kernel    12 s ago"; !strings.Contains(text.String(), kernel) {
		t.Errorf("columns are not aligned: no %q in\n%s", kernel, text.String())
	}
}

func TestCheck(t *testing.T) {
	r := sample()
	err := r.Check(time.Time{})
	if err == nil || err.Error() != "lost since the counters began: kernel on 日本\\x1b[2J, shard 0; rejected at tcp://192.0.2.9:6514" ||
		cli.Hint(err) != "udpshard doctor" || cli.ExitCode(err) != cli.ExitFailed {
		t.Errorf("%v, hint %q", err, cli.Hint(err))
	}
	if err := r.Check(r.now.Add(-time.Minute)); err == nil || !strings.Contains(err.Error(), "11:59: kernel on") {
		t.Errorf("within a minute: %v", err)
	}
	if err := r.Check(r.now.Add(-time.Second)); err != nil {
		t.Errorf("within a second: %v", err)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "0s": now, "2026-11-29T01:12:13Z": time.Date(2026, 11, 29, 1, 12, 13, 0, time.UTC),
		"2026-11-28 01:12": time.Date(2026, 11, 28, 1, 12, 0, 0, time.Local),
	} {
		if got, err := ParseSince(text); err != nil || got.Sub(want).Abs() > time.Minute {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "-5m", "2999-01-01 00:00", "10"} {
		if got, err := ParseSince(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
