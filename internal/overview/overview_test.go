package overview

import (
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// status returns a status of one listener with two shards, without losses.
func status() metrics.Status {
	return metrics.Status{
		Role: metrics.Active, StartedAt: now.Add(-time.Hour),
		CountersSince: time.Date(2026, 11, 28, 1, 12, 30, 0, time.UTC),
		Listeners: []metrics.ListenerStatus{{Name: "syslog", Steer: "auto", ReceiveBuffer: 32 << 20,
			Shards: []metrics.Reading{{Shard: 0, BufferBytes: 64 << 20}, {Shard: 1, BufferBytes: 64 << 20}}}},
	}
}

func TestOverview(t *testing.T) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		about  string
		change func(s *metrics.Status, l *metrics.ListenerStatus)
		state  State
		text   string
		remedy string
	}{
		{"no loss", func(*metrics.Status, *metrics.ListenerStatus) {},
			NothingLost, "Nothing lost since 2026-11-28 01:12", ""},
		{"counters of an old version", func(s *metrics.Status, _ *metrics.ListenerStatus) { s.CountersSince = time.Time{} },
			NothingLost, "Nothing lost since 2026-11-29 11:00", ""},
		{"drops on purpose", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped = metrics.Drops{NotAllowed: 5, RateLimited: 6, Malformed: 7, Reply: 8}
		}, NothingLost, "Nothing lost since 2026-11-28 01:12", ""},
		{"a standby", func(s *metrics.Status, _ *metrics.ListenerStatus) { s.Role = metrics.Standby },
			StandingBy, "Standby: the active process has the counters", ""},
		{"a full queue", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel = 1843, ago(12*time.Second)
		}, Losing, "1,843 lost on syslog, shard 0, last 12 s ago: the receive buffer was full",
			"udpshard selftest, then set more shards or a larger receive_buffer"},
		{"an hour ago", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[1].Dropped.Kernel, l.Shards[1].LastDropped.Kernel = 1, ago(61*time.Minute)
		}, LostBefore, "1 lost on syslog, shard 1, last 61 min ago: the receive buffer was full",
			"udpshard selftest, then set more shards or a larger receive_buffer"},
		{"an unknown time", func(_ *metrics.Status, l *metrics.ListenerStatus) { l.Shards[1].Dropped.Kernel = 1 },
			LostBefore, "1 lost on syslog, shard 1, at an unknown time: the receive buffer was full",
			"udpshard selftest, then set more shards or a larger receive_buffer"},
		{"two shards", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel = 1000, ago(12*time.Second)
			l.Shards[1].Dropped.Kernel, l.Shards[1].LastDropped.Kernel = 1, ago(11*time.Second)
		}, Losing, "1,001 lost on syslog, 2 shards, last on shard 1, last 11 s ago: the receive buffer was full",
			"udpshard selftest, then set more shards or a larger receive_buffer"},
		{"a small buffer", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel, l.Shards[0].BufferBytes = 9, now, 425984
		}, Losing, "9 lost on syslog, shard 0, last 0 s ago: the receive buffer was full, with 208KiB of the 32MiB that serve asks for",
			"sysctl -w net.core.rmem_max=33554432, and restart udpshard"},
		{"skew", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel, l.Skew, l.Steer = 9, now, "91% come from one sender", "hash"
		}, Losing, "9 lost on syslog, shard 0, last 0 s ago: the receive buffer was full: 91% come from one sender",
			"serve --steer auto"},
		{"a stalled shard", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel, l.Steering.StalledShards = 9, now, []int{0}
		}, Losing, "9 lost on syslog, shard 0, last 0 s ago: the receive buffer was full, because the shard does not read",
			"udpshard doctor"},
		{"a blocked output", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel, l.Shards[0].WaitsForOutput = 9, now, true
		}, Losing, "9 lost on syslog, shard 0, last 0 s ago: the receive buffer was full, because the output accepts no records",
			repairOutput},
		{"what is now explains no loss of an hour ago", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.Kernel, l.Shards[0].LastDropped.Kernel, l.Shards[0].WaitsForOutput = 9, ago(time.Hour), true
			l.Steering.StalledShards, l.Skew = []int{0}, "91% come from one sender"
		}, LostBefore, "9 lost on syslog, shard 0, last 60 min ago: the receive buffer was full",
			"udpshard selftest, then set more shards or a larger receive_buffer"},
		{"a crash, and an output before", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Shards[0].Dropped.LostInCrash, l.Shards[0].LastDropped.LostInCrash = 20, ago(3*time.Hour)
			l.Shards[0].Dropped.Output, l.Shards[0].LastDropped.Output = 9, ago(72*time.Hour)
		}, LostBefore, "20 lost on syslog, shard 0, last 3 h ago: a process died before it had written these records (1 more loss is listed)",
			"read the log of the process that died; with serve --standby, a crash loses less"},
		{"a target", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Outputs = []metrics.Output{{To: "tcp://127.0.0.1:6514", Rejected: 2, LastRejected: ago(time.Second), Expired: 1}}
			l.Shards[0].Dropped.Output = 1
		}, Losing, "2 records lost at tcp://127.0.0.1:6514, last 1 s ago: the target refused these records for good (2 more losses are listed)",
			"rejected.json in the spool has the records and the reasons"},
		{"one record", func(_ *metrics.Status, l *metrics.ListenerStatus) {
			l.Outputs = []metrics.Output{{To: "tcp://127.0.0.1:6514", Expired: 1, LastExpired: now}}
		}, Losing, "1 record lost at tcp://127.0.0.1:6514, last 0 s ago: the spool was full or damaged", "repair the target, or raise spool.max_size"},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := status()
			c.change(&s, &s.Listeners[0])
			if got := Of(s, now); got.State != c.state || got.Text != c.text || got.Remedy != c.remedy {
				t.Errorf("%s: %q, remedy %q; want\n%s: %q, remedy %q", got.State, got.Text, got.Remedy, c.state, c.text, c.remedy)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	s := status()
	s.Listeners[0].Shards[0].WaitsForOutput = true
	s.Listeners[0].Steering.StalledShards = []int{1}
	s.Listeners[0].Outputs = []metrics.Output{{To: "tcp://127.0.0.1:6514", Waiting: 1234, OldestWaiting: 300, LastError: "connection refused"},
		{To: "tcp://127.0.0.1:6515", Waiting: 1}}
	s.Listeners[0].FailedZones = []metrics.FailedZone{{File: "a", Error: "a:1: x", Zone: "a.", Serial: 7}, {File: "b", Error: "b:2: y"},
		{File: "c", Error: "c:3: z"}, {File: "d", Error: "d:4: z"}, {File: "e", Error: "e:5: z"}}
	want := []string{
		"shard 0 of syslog does not read: its output accepts no records",
		"shard 1 of syslog does not read its queue",
		"tcp://127.0.0.1:6514 fails: connection refused; waiting: 1,234 records, the oldest came 5 min ago",
		"a. is served as before, with serial 7: a:1: x",
		"a zone of syslog is not served: b:2: y",
		"a zone of syslog is not served: c:3: z",
		"2 more zone files of syslog can't be loaded",
	}
	got := Of(s, now)
	if len(got.Warnings) != len(want) || got.State != NothingLost {
		t.Fatalf("%s, warnings %+v", got.State, got.Warnings)
	}
	for i, w := range got.Warnings {
		if w.Text != want[i] || w.Remedy == "" {
			t.Errorf("warning %+v, want %q", w, want[i])
		}
	}
}

func TestLostSince(t *testing.T) {
	s := status()
	s.Listeners[0].Shards[0].Dropped = metrics.Drops{Kernel: 1, Output: 2, LostInCrash: 3}
	s.Listeners[0].Shards[0].LastDropped = metrics.DropTimes{Kernel: now.Add(-time.Minute), Output: now.Add(-3 * time.Hour)}
	o := Of(s, now)
	for _, c := range []struct {
		since time.Duration
		want  int
	}{{0, 0}, {time.Second, 0}, {time.Minute, 1}, {time.Hour, 2}, {3 * time.Hour, 3}, {30 * time.Hour, 3}} {
		if got := o.LostSince(now.Add(-c.since), s.StartedAt); len(got) != c.want {
			t.Errorf("since %s: %+v, want %d losses", c.since, got, c.want)
		}
	}
}
