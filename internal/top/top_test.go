package top

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/metrics"
)

var now = time.Date(2026, 11, 29, 1, 12, 30, 0, time.UTC)

// status returns the status of an instance with a listener of two shards.
func status() metrics.Status {
	return metrics.Status{
		Version: "v0.1.0", Role: metrics.Active, ProcessStatus: metrics.ProcessStatus{PID: 812}, CountersID: "a",
		StartedAt: now.Add(-3 * time.Hour), CountersSince: now.Add(-3 * time.Hour),
		Listeners: []metrics.ListenerStatus{{
			Name: "syslog", Address: "127.0.0.1:5514", Protocol: "syslog", Steer: "auto", ReceiveBuffer: 32 << 20,
			Shards: []metrics.Reading{{Shard: 0, Thread: 77, BufferBytes: 64 << 20}, {Shard: 1, CPU: 1, Thread: 78, BufferBytes: 64 << 20}},
		}},
	}
}

// answering returns an instance that has answered with a status at now.
func answering(name string, s metrics.Status) *instance {
	i := newInstance(name)
	i.update(answer{at: now, status: s})
	return i
}

// after updates the instance with a status, d after the latest.
func (i *instance) after(d time.Duration, change func(*metrics.Status)) {
	s := i.status
	s.Listeners = nil
	for _, l := range i.status.Listeners {
		l.Shards = append([]metrics.Reading(nil), l.Shards...)
		l.Outputs = append([]metrics.Output(nil), l.Outputs...)
		s.Listeners = append(s.Listeners, l)
	}
	change(&s)
	i.update(answer{at: i.at.Add(d), status: s})
}

// load adds to the counters of the shards of the first listener, more on shard 1.
func load(s *metrics.Status) {
	for n := range s.Listeners[0].Shards {
		r, by := &s.Listeners[0].Shards[n], uint64(n+1)
		r.Received += 2000 * by
		r.Delivered += 1900 * by
		r.Bytes += 200_000 * by
		r.Dropped.Kernel += 20 * by
		r.Dropped.NotAllowed += 6 * by
		r.CPUTime += 250 * time.Millisecond * time.Duration(by)
		r.QueueBytes = 6 << 20 * by
	}
}

func TestRates(t *testing.T) {
	i := answering("a", status())
	if r := i.shards[shardID{"syslog", 0}].rates; r.known {
		t.Errorf("after the first status: %+v", r)
	}
	i.after(2*time.Second, load)
	if got, want := i.shards[shardID{"syslog", 1}].rates, (rates{true, 2000, 1900, 200_000, 20, 6, 25}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Counters that begin anew yield no rates until the next status; counters that go on in another
// process do; smaller counters of the same ID yield 0.
func TestReplacedProcess(t *testing.T) {
	for _, c := range []struct {
		about  string
		change func(*metrics.Status)
		known  bool
		event  string
	}{
		{"the same process", func(*metrics.Status) {}, true, ""},
		{"a restart", func(s *metrics.Status) { s.PID, s.CountersID = 900, "b" }, false,
			"pid 900 has replaced pid 812: the counters begin anew"},
		{"a restart with the same PID", func(s *metrics.Status) { s.StartedAt, s.CountersID = now, "b" }, false,
			"pid 812 has replaced pid 812: the counters begin anew"},
		{"a takeover", func(s *metrics.Status) { s.PID = 900 }, true, "pid 900 has taken over from pid 812: the counters go on"},
	} {
		t.Run(c.about, func(t *testing.T) {
			i := answering("a", status())
			i.after(time.Second, load)
			i.after(time.Second, func(s *metrics.Status) {
				c.change(s)
				s.Listeners[0].Shards[1].Received = 1
			})
			if got := i.shards[shardID{"syslog", 1}].rates; got != (rates{known: c.known}) {
				t.Errorf("rates %+v", got)
			}
			if i.event != c.event {
				t.Errorf("event %q, want %q", i.event, c.event)
			}
			i.after(time.Second, load)
			if got := i.shards[shardID{"syslog", 1}].rates; !got.known || got.received != 4000 {
				t.Errorf("rates of the next status %+v", got)
			}
		})
	}
}

// An instance that does not answer keeps its counters, and has no rates.
func TestAway(t *testing.T) {
	i := answering("a", status())
	i.after(time.Second, load)
	i.update(answer{at: i.at.Add(5 * time.Second), err: errors.New("connection refused")})
	r := rows([]*instance{i}, false, now)[0]
	if i.state() != "away" || r.rates.known || r.lost != 60 {
		t.Errorf("%s, rates %+v, lost %d", i.state(), r.rates, r.lost)
	}
	if got, want := i.verdict(i.at.Add(5*time.Second)), "connection refused (the last answer came 5 s ago)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	i.after(10*time.Second, load)
	if got := i.shards[shardID{"syslog", 0}].rates; i.event != "pid 812 answers again" || got.received != 200 {
		t.Errorf("event %q, rates %+v", i.event, got)
	}
}

// The rates and points of the first answer are those of the history; gaps of a history are zeros.
func TestHistory(t *testing.T) {
	series := history.Series{Received: []uint64{0, 100, 300}, Delivered: []uint64{0, 100, 290}, Bytes: []uint64{0, 1, 3},
		Lost: []uint64{0, 0, 8}, Refused: []uint64{0, 0, 2}, CPUPercent: []uint64{0, 5, 7}, QueuePercent: []uint64{0, 1, 9}}
	s := status()
	s.Listeners[0].Outputs = []metrics.Output{{To: "tcp://a:1"}}
	i := newInstance("a")
	i.update(answer{at: now, status: s, history: history.History{Now: now.Add(-time.Second), StepSeconds: 2, Listeners: []history.Listener{
		{Name: "other", Shards: []history.Shard{{Shard: 1, Series: history.Series{Received: []uint64{9}}}}},
		{Name: "syslog", Shards: []history.Shard{{Shard: 1, Series: series}}, Outputs: []history.Output{{To: "tcp://a:1", Acknowledged: []uint64{0, 1, 12}}}},
	}}})
	got := i.shards[shardID{"syslog", 1}]
	if want := (rates{true, 300, 290, 3, 4, 2, 7}); got.rates != want {
		t.Errorf("got %+v, want %+v", got.rates, want)
	}
	if len(got.recent) != 3 || got.recent[0] != (point{now.Add(-4 * time.Second), 0}) || got.recent[2] != (point{now, 300}) {
		t.Errorf("points %+v", got.recent)
	}
	if i.shards[shardID{"syslog", 0}].rates.known || i.knowsRates() {
		t.Error("a shard without history has rates")
	}
	if target := i.targets[targetID{"syslog", "tcp://a:1"}]; *target != knownRate(12) {
		t.Errorf("target %+v", target)
	}
	i.after(keep+time.Second, load)
	if got := i.shards[shardID{"syslog", 1}]; len(got.recent) != 1 {
		t.Errorf("points %+v, want only the last", got.recent)
	}
}

func knownRate(perSecond float64) target { return target{perSecond: perSecond, known: true} }

func TestTargets(t *testing.T) {
	s := status()
	s.Listeners[0].Outputs = []metrics.Output{{To: "tcp://a:1"}, {To: "tcp://b:1", Acknowledged: 5, Waiting: 1234, OldestWaiting: 90, LastError: "refused"}}
	i := answering("a", s)
	i.after(time.Second, func(s *metrics.Status) { s.Listeners[0].Outputs[0].Acknowledged = 700 })
	var text strings.Builder
	if err := targetTable(targetRows([]*instance{i}), now).Print(&text, ""); err != nil {
		t.Fatal(err)
	}
	const want = `target     acked/s  waiting    oldest  lost  last error
tcp://b:1        0    1,234  90 s ago     0  refused
tcp://a:1      700        0               0
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	i.after(time.Second, func(s *metrics.Status) { s.Listeners[0].Outputs[0].Acknowledged = 1 })
	if target := i.targets[targetID{"syslog", "tcp://a:1"}]; target.known {
		t.Errorf("smaller than before: %+v", target)
	}
}

// names returns the names of lines, indented.
func names(lines []line) string {
	var list []string
	for _, l := range lines {
		list = append(list, strings.Repeat(" ", l.depth)+l.name)
	}
	return strings.Join(list, ",")
}

func TestRowsOfInstances(t *testing.T) {
	other := status()
	other.Listeners = append(other.Listeners, metrics.ListenerStatus{Name: "dns", Shards: []metrics.Reading{{}}})
	both := []*instance{answering("a:1", status()), answering("b:2", other)}
	both[0].after(time.Second, load)
	both[1].after(time.Second, load)
	for _, c := range []struct {
		summed, shards bool
		want           string
	}{
		{false, true, "a:1, syslog,  0,  1,b:2, syslog,  0,  1, dns,  0"},
		{false, false, "a:1, syslog,b:2, syslog, dns"},
		{true, true, "syslog, a:1, b:2,dns, b:2"},
		{true, false, "syslog,dns"},
	} {
		if got := names(flatten(rows(both, c.summed, now), c.shards, 0, "")); got != c.want {
			t.Errorf("summed %t, shards %t: %s, want %s", c.summed, c.shards, got, c.want)
		}
	}
	sum := rows(both, true, now)[0]
	if want := (rates{true, 12_000, 11_400, 1_200_000, 120, 36, 150}); sum.rates != want || sum.lost != 120 || sum.queue != 18.75 {
		t.Errorf("sum %+v, lost %d, queue %g, want %+v", sum.rates, sum.lost, sum.queue, want)
	}
}

func TestSort(t *testing.T) {
	s := status()
	s.Listeners = append(s.Listeners, metrics.ListenerStatus{Name: "dns", Shards: []metrics.Reading{{}}})
	i := answering("a", s)
	i.after(time.Second, load)
	for n, c := range columns {
		want, reversed := "syslog, 1, 0,dns, 0", "dns, 0,syslog, 0, 1"
		if n == 0 {
			want, reversed = "syslog, 0, 1,dns, 0", "dns, 0,syslog, 1, 0"
		}
		for reverse, want := range map[bool]string{false: want, true: reversed} {
			tree := rows([]*instance{i}, false, now)
			sortRows(tree, c, reverse)
			if got := names(flatten(tree, true, 0, "")); got != want {
				t.Errorf("%s, reverse %t: %s, want %s", c.short, reverse, got, want)
			}
		}
	}
}

func TestStates(t *testing.T) {
	s := status()
	l := &s.Listeners[0]
	for _, c := range []struct {
		change          func()
		listener, shard string
	}{
		{func() {}, "", ""},
		{func() { l.Skew = "91% come from one sender" }, "skewed", ""},
		{func() { l.Steering.SprayedSources = []string{"10.0.0.7:514"} }, "sprays", ""},
		{func() { l.Steering.AvoidedShards = []int{1} }, "sprays", "avoided"},
		{func() { l.Steering.StalledShards = []int{1} }, "1 stalled", "stalled"},
		{func() { l.Shards[1].WaitsForOutput = true }, "1 waits", "waits"},
	} {
		c.change()
		r := listenerRow(answering("a", s), *l)
		if r.state != c.listener || r.under[1].state != c.shard || r.under[0].state != "" {
			t.Errorf("got %q, %q, %q, want %q, %q", r.state, r.under[1].state, r.under[0].state, c.listener, c.shard)
		}
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n            float64
		narrow, wide string
	}{
		{0, "0", "0"}, {0.2, "0.2", "0.2"}, {1, "1", "1"}, {9.4, "9.4", "9.4"}, {9.996, "10", "10"}, {1234.4, "1,234", "1,234"},
		{99_999.4, "99,999", "99,999"}, {99_999.6, "100.0k", "100,000"}, {123_456, "123.5k", "123,456"},
		{999_949, "999.9k", "999,949"}, {999_960, "1.00M", "999,960"}, {9_999_999, "10.00M", "9,999,999"},
		{12_345_678, "12.35M", "12.35M"}, {123_456_789, "123.5M", "123.5M"}, {5e9, "5.00G", "5.00G"}, {1e17, "100.0P", "100.0P"}, {1e20, "many", "many"},
	} {
		if narrow, wide := count(c.n, false), count(c.n, true); narrow != c.narrow || wide != c.wide || len(narrow) > 6 {
			t.Errorf("%f: %s, wide %s, want %s, %s", c.n, narrow, wide, c.narrow, c.wide)
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0B", 1023: "1023B", 1024: "1KiB", 42_300: "41.3KiB", 936_000: "914KiB", 1_048_500: "1023KiB", 8.6e6: "8.2MiB"} {
		if got := size(bytes); got != want {
			t.Errorf("%f: %s, want %s", bytes, got, want)
		}
	}
}

func TestSparkline(t *testing.T) {
	at := func(ago time.Duration, n float64) point { return point{now.Add(-ago), n} }
	one := &shard{recent: []point{at(time.Hour, 99), at(25*time.Second, 10), at(15*time.Second, 60), at(12*time.Second, 20), at(0, 80)}}
	two := &shard{recent: []point{at(25*time.Second, 10), at(15*time.Second, 0)}}
	scale := timeScale{5, 10 * time.Second}
	for _, c := range []struct {
		shards []*shard
		most   float64
		want   string
	}{
		{[]*shard{one}, 80, " ▂▅ █"},
		{[]*shard{two}, 80, " ▂· " + " "},
		{[]*shard{one, two}, 80, " ▃▅ █"},
		{nil, 0, "     "},
	} {
		if got := sparkline(scale.means(c.shards, now), c.most); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTimeScale(t *testing.T) {
	for _, c := range []struct {
		cells    int
		interval time.Duration
		want     time.Duration
	}{{200, time.Second, time.Second}, {60, time.Second, 2 * time.Second}, {12, time.Second, 10 * time.Second},
		{9, time.Second, 15 * time.Second}, {60, 4 * time.Second, 5 * time.Second}, {60, time.Hour, time.Minute}, {0, time.Second, time.Minute}} {
		if got := newTimeScale(c.cells, c.interval); got.cell != c.want || got.cells != c.cells {
			t.Errorf("%d cells every %s: %+v, want %s", c.cells, c.interval, got, c.want)
		}
	}
}

// shown returns the screen of a model without codes of the terminal.
func shown(m *model, width, height int) string {
	m.screen.width, m.screen.height = width, height
	m.layOut()
	return ansi.Strip(m.View().Content)
}

// watching returns a model of instances.
func watching(instances ...*instance) *model {
	m := &model{leaves: true, instances: instances}
	m.screen = screen{interval: time.Second, instances: instances, now: now.Add(time.Second)}
	return m
}

func TestScreenOf80Columns(t *testing.T) {
	s := status()
	s.Listeners[0].Outputs = []metrics.Output{{To: "tcp://192.0.2.1:6514", Waiting: 1234, OldestWaiting: 12, LastError: "connection refused"}}
	i := answering("127.0.0.1:9514", s)
	i.after(time.Second, func(s *metrics.Status) {
		load(s)
		s.Listeners[0].Shards[1].LastDropped.Kernel = now
		s.Listeners[0].Steering.StalledShards = []int{1}
	})
	const want = `127.0.0.1:9514  active  v0.1.0  pid 812  started 3 h ago                01:12:31
LOSING: 60 lost on syslog, 2 shards, last on shard 1, last 1 s ago: the receive
buffer was full, because the shard does not read
remedy: udpshard doctor
warning, and 1 more: shard 1 of syslog does not read its queue: udpshard doctor

  listener recv/s deliv/s bytes/s   lost lost/s refus/s queue  CPU 2 min
> syslog    6,000   5,700  585KiB     60     60      18   19%  75% 1 stalled
    0       2,000   1,900  195KiB     20     20       6    9%  25%             ▅
    1       4,000   3,800  390KiB     40     40      12   19%  50% stalled     █




  target                acked/s  waiting    oldest  lost  last error
  tcp://192.0.2.1:6514        0    1,234  12 s ago     0  connection refused
syslog: syslog at 127.0.0.1:5514, steer auto; dropped: kernel 60; not_allowed 18
q quit  ? help  s sort  r reverse  tab shards  space pause           by listener`
	var lines []string
	for l := range strings.SplitSeq(shown(watching(i), 80, 18), "\n") {
		lines = append(lines, strings.TrimRight(l, " "))
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// No screen is larger than the terminal, and the selected row is visible.
func TestScreenFits(t *testing.T) {
	s := status()
	for n := range 62 {
		s.Listeners[0].Shards = append(s.Listeners[0].Shards, metrics.Reading{Shard: n + 2})
	}
	for n := range 9 {
		s.Listeners[0].Outputs = append(s.Listeners[0].Outputs, metrics.Output{To: "tcp://a:" + string(rune('1'+n)), LastError: "\x1b[31mno\nroute"})
	}
	s.Version = "v0.1.0\x1b[2J"
	away := newInstance("[2001:db8::1]:9514")
	away.update(answer{at: now, err: errors.New("no route")})
	m := watching(answering("127.0.0.1:9514", s), away)
	for _, summed := range []bool{false, true} {
		m.screen.summed = summed
		for _, size := range [][2]int{{1, 1}, {10, 5}, {40, 10}, {80, 24}, {81, 25}, {160, 50}, {500, 200}} {
			for _, key := range []string{"home", "down", "pgdown", "end", "pgup", "s", "r", "tab", "?", "x", "tab"} {
				shown(m, size[0], size[1]) // the page of PgUp and PgDn depends on the size
				m.press(key)
				text := shown(m, size[0], size[1])
				lines := strings.Split(text, "\n")
				if len(lines) > size[1] {
					t.Errorf("%v: %d lines", size, len(lines))
				}
				marked := 0
				for _, l := range lines {
					if ansi.StringWidth(l) > size[0] {
						t.Errorf("%v: %q is too long", size, l)
					}
					if strings.HasPrefix(l, "> ") {
						marked++
					}
				}
				if marked != 1 && !m.help && size[1] >= 24 {
					t.Errorf("%v, %s: %d selected rows in\n%s", size, key, marked, text)
				}
			}
		}
	}
}

// Texts of an instance can't write codes of the terminal or line ends.
func TestScreenEscapes(t *testing.T) {
	const hostile = "x\x1b[2Jy\r\nz"
	s := status()
	s.Version, s.Role = hostile, hostile
	l := &s.Listeners[0]
	l.Name, l.Protocol, l.Address, l.Skew = hostile, hostile, hostile, hostile
	l.TopSenders, l.Steering.SprayedSources = []metrics.Sender{{Source: hostile}}, []string{hostile}
	l.Outputs = []metrics.Output{{To: hostile, LastError: hostile, Rejected: 1}}
	i := answering("a", s)
	away := newInstance("b")
	away.update(answer{at: now, err: errors.New(hostile)})
	var once strings.Builder
	i.print(&once, now)
	away.print(&once, now)
	m := watching(i, away)
	shown(m, 300, 50)
	for _, text := range []string{m.View().Content, once.String()} {
		if strings.Contains(text, "\x1b[2J") || strings.Contains(text, "\r") || strings.Contains(text, "\nz") {
			t.Errorf("not escaped: %q", text)
		}
		if n := strings.Count(text, `x\x1b[2Jy\r\nz`); n < 5 {
			t.Errorf("%d escaped texts in %q", n, text)
		}
	}
}

func TestHelpFits(t *testing.T) {
	if got := fit(HelpText, 80, 24); got != strings.TrimSuffix(HelpText, "\n") {
		t.Errorf("help is larger than 80x24:\n%s", got)
	}
}

func TestParseInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"1s": time.Second, "100ms": 100 * time.Millisecond, "99ms": 0, "": 0, "-1s": 0} {
		got, err := ParseInterval(text)
		if got != want && err == nil || (err == nil) != (want > 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
