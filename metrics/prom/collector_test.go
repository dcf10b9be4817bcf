package prom

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// sample is one line of the Prometheus text format.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// family is a metric in the text format.
type family struct {
	kind, help string
	samples    []sample
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_:]+)(?:\{(.*)\})? ([^ ]+)$`)
	labelPair  = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// scrape reads the Prometheus text format.
func scrape(t *testing.T, r io.Reader) map[string]*family {
	families := make(map[string]*family)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if help, isHelp := strings.CutPrefix(line, "# HELP "); isHelp {
			name, text, _ := strings.Cut(help, " ")
			families[name] = &family{help: text}
			continue
		}
		if kind, isType := strings.CutPrefix(line, "# TYPE "); isType {
			name, text, _ := strings.Cut(kind, " ")
			families[name].kind = text
			continue
		}
		match := sampleLine.FindStringSubmatch(line)
		if match == nil {
			t.Errorf("no sample: %q", line)
			continue
		}
		value, err := strconv.ParseFloat(match[3], 64)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		s := sample{name: match[1], labels: make(map[string]string), value: value}
		for _, pair := range labelPair.FindAllStringSubmatch(match[2], -1) {
			s.labels[pair[1]] = pair[2]
		}
		if f := families[s.name]; f != nil { // else part of a summary or histogram
			f.samples = append(f.samples, s)
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return families
}

// scraped returns the readings of a scrape by shard, with the fields that the equation needs.
func scraped(t *testing.T, r io.Reader) map[string]*metrics.Reading {
	readings := make(map[string]*metrics.Reading)
	for name, f := range scrape(t, r) {
		for _, s := range f.samples {
			shard, of := s.labels["shard"]
			if !of {
				continue
			}
			if readings[shard] == nil {
				readings[shard] = new(metrics.Reading)
			}
			into := readings[shard]
			switch name + s.labels["reason"] {
			case "udpshard_datagrams_received_total":
				into.Received = uint64(s.value)
			case "udpshard_datagrams_delivered_total":
				into.Delivered = uint64(s.value)
			case "udpshard_in_flight":
				into.InFlight = uint64(s.value)
			case "udpshard_datagrams_dropped_totalnot_allowed":
				into.Dropped.NotAllowed = uint64(s.value)
			case "udpshard_datagrams_dropped_totalrate_limited":
				into.Dropped.RateLimited = uint64(s.value)
			case "udpshard_datagrams_dropped_totalmalformed":
				into.Dropped.Malformed = uint64(s.value)
			case "udpshard_datagrams_dropped_totaloutput":
				into.Dropped.Output = uint64(s.value)
			}
		}
	}
	return readings
}

// promised is the documented list of metrics, with the values of the shard numbered.
var promised = map[string]struct {
	kind   string
	labels []string
	values map[string]float64 // by reason or role; without, by ""
}{
	"udpshard_datagrams_received_total":  {"counter", []string{"listener", "shard"}, map[string]float64{"": 1_000_000}},
	"udpshard_bytes_received_total":      {"counter", []string{"listener", "shard"}, map[string]float64{"": 10}},
	"udpshard_receive_batches_total":     {"counter", []string{"listener", "shard"}, map[string]float64{"": 11}},
	"udpshard_datagrams_delivered_total": {"counter", []string{"listener", "shard"}, map[string]float64{"": 12}},
	"udpshard_datagrams_dropped_total": {"counter", []string{"listener", "reason", "shard"}, map[string]float64{
		"kernel": 21, "not_allowed": 16, "rate_limited": 17, "malformed": 18, "output": 19, "reply": 20, "lost_in_crash": 0}},
	"udpshard_datagrams_lost_total":                         {"counter", []string{"listener", "reason", "shard"}, map[string]float64{"kernel": 21, "output": 19, "lost_in_crash": 0}},
	"udpshard_datagrams_refused_total":                      {"counter", []string{"listener", "reason", "shard"}, map[string]float64{"not_allowed": 16, "rate_limited": 17, "malformed": 18}},
	"udpshard_replies_lost_total":                           {"counter", []string{"listener", "shard"}, map[string]float64{"": 20}},
	"udpshard_datagrams_truncated_total":                    {"counter", []string{"listener", "shard"}, map[string]float64{"": 14}},
	"udpshard_datagrams_unparsed_total":                     {"counter", []string{"listener", "shard"}, map[string]float64{"": 15}},
	"udpshard_datagrams_malformed_header_total":             {"counter", []string{"listener", "shard"}, map[string]float64{"": 26}},
	"udpshard_replies_total":                                {"counter", []string{"listener", "shard"}, map[string]float64{"": 13}},
	"udpshard_in_flight":                                    {"gauge", []string{"listener", "shard"}, map[string]float64{"": 1_000_000 - 12 - 16 - 17 - 18 - 19}},
	"udpshard_receive_queue_bytes":                          {"gauge", []string{"listener", "shard"}, map[string]float64{"": 22}},
	"udpshard_receive_buffer_bytes":                         {"gauge", []string{"listener", "shard"}, map[string]float64{"": 23}},
	"udpshard_shard_cpu_seconds_total":                      {"counter", []string{"listener", "shard"}, map[string]float64{"": 1.5}},
	"udpshard_shard_stalled":                                {"gauge", []string{"listener", "shard"}, map[string]float64{"": 1}},
	"udpshard_steer_moved_buckets":                          {"gauge", []string{"listener"}, map[string]float64{"": 24}},
	"udpshard_steer_sprayed_sources":                        {"gauge", []string{"listener"}, map[string]float64{"": 2}},
	"udpshard_steer_changes_total":                          {"counter", []string{"kind", "listener"}, map[string]float64{"": 25}},
	"udpshard_takeovers_total":                              {"counter", []string{"reason"}, map[string]float64{"upgrade": 0, "stop": 0, "died": 0, "stalled": 0, "restart": 0}},
	"udpshard_role":                                         {"gauge", []string{"role"}, map[string]float64{"active": 0, "standby": 0, "draining": 1}},
	"udpshard_standbys":                                     {"gauge", nil, map[string]float64{"": 2}},
	"udpshard_config_last_reload_successful":                {"gauge", nil, map[string]float64{"": 0}},
	"udpshard_config_last_reload_success_timestamp_seconds": {"gauge", nil, map[string]float64{"": 1_800_000_000.25}},
	"udpshard_build_info":                                   {"gauge", []string{"commit", "go", "goversion", "revision", "version"}, map[string]float64{"": 1}},
}

func TestPrometheusHasWhatWasPromised(t *testing.T) {
	ledger := metrics.NewLedger("v1")
	listener := &metrics.Listener{Name: "logs", Shards: []*metrics.Shard{numbered()}}
	listener.SetSteering(metrics.Steering{MovedBuckets: 24, SprayedSources: []string{"a", "b"}, StalledShards: []int{1}, Changes: map[string]uint64{"move": 25}})
	ledger.Add(listener)
	ledger.Revision = "abc"
	ledger.SetRole(metrics.Draining)
	ledger.SetStandbys(func() []metrics.StandbyStatus { return make([]metrics.StandbyStatus, 2) })
	ledger.SetConfig(metrics.ConfigStatus{}.After(nil, time.UnixMilli(1_800_000_000_250)).After(errors.New("refused"), time.Now()))
	families := scrape(t, get(Handler(ledger), "/metrics").Body)
	for name, want := range promised {
		got := families[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if got.kind != want.kind {
			t.Errorf("%s is a %s, want a %s", name, got.kind, want.kind)
		}
		if !strings.HasSuffix(got.help, ".") {
			t.Errorf("%s has the help %q, want a sentence", name, got.help)
		}
		values := make(map[string]float64)
		for _, s := range got.samples {
			if labels := slices.Sorted(maps.Keys(s.labels)); !slices.Equal(labels, want.labels) {
				t.Errorf("%s has the labels %v, want %v", name, labels, want.labels)
			}
			if l, ok := s.labels["listener"]; ok && l != "logs" {
				t.Errorf("%s: listener %q", name, l)
			}
			if shard, ok := s.labels["shard"]; ok && shard != "1" {
				t.Errorf("%s: shard %q", name, shard)
			}
			values[s.labels["reason"]+s.labels["role"]] = s.value
		}
		if !maps.Equal(values, want.values) || len(got.samples) != len(want.values) {
			t.Errorf("%s is %v in %d samples, want %v", name, values, len(got.samples), want.values)
		}
	}
	delete(families, "udpshard_last_drop_timestamp_seconds") // see TestLastDrops
	for name, f := range families {
		if _, ok := promised[name]; strings.HasPrefix(name, "udpshard_") && !ok {
			t.Errorf("%s (%s) is not documented", name, f.help)
		}
	}
	build := families["udpshard_build_info"].samples[0].labels
	if want := map[string]string{"version": "v1", "revision": "abc", "goversion": runtime.Version(), "commit": "abc", "go": runtime.Version()}; !maps.Equal(build, want) {
		t.Errorf("build %v, want %v", build, want)
	}
	for _, name := range []string{"go_goroutines", "go_gc_duration_seconds", "process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is missing: the Go and process collectors should be there", name)
		}
	}
}

// Each drop reason has a time, which is 0 without a drop. The sum of lost datagrams is the loss in
// the ledger.
func TestLastDrops(t *testing.T) {
	ledger, shard := metrics.NewLedger("v1"), metrics.NewShard(0, 0)
	ledger.Add(&metrics.Listener{Name: "logs", Shards: []*metrics.Shard{shard}})
	shard.OutputLost.Store(3)
	shard.RateLimited.Store(5)
	before := float64(time.Now().UnixMilli()) / 1000
	families := scrape(t, get(Handler(ledger), "/metrics").Body)
	times, lost := make(map[string]float64), 0.0
	for _, s := range families["udpshard_last_drop_timestamp_seconds"].samples {
		times[s.labels["reason"]] = s.value
	}
	for _, s := range families["udpshard_datagrams_lost_total"].samples {
		lost += s.value
	}
	if want := shard.Read().Dropped.Lost(); lost != 3 || want != 3 {
		t.Errorf("%v lost, want %d", lost, want)
	}
	after := float64(time.Now().UnixMilli()) / 1000
	for _, c := range metrics.DropReasons() {
		at, known := times[c.Name]
		dropped := c.Name == "output" || c.Name == "rate_limited"
		if !known || dropped && (at < before || at > after) || !dropped && at != 0 {
			t.Errorf("%s: last drop at %v, known: %t", c.Name, at, known)
		}
	}
}

// Each shard of each listener has a sample with labels of its own.
func TestPrometheusLabels(t *testing.T) {
	ledger := metrics.NewLedger("v1")
	for _, name := range []string{"a", "b with {odd} = characters"} {
		ledger.Add(&metrics.Listener{Name: name, Shards: []*metrics.Shard{metrics.NewShard(0, 0), metrics.NewShard(1, 0)}})
	}
	response := get(Handler(ledger), "/metrics")
	if response.Code != 200 {
		t.Fatalf("%d: %s", response.Code, response.Body)
	}
	seen := make(map[[2]string]bool)
	for _, s := range scrape(t, response.Body)["udpshard_datagrams_received_total"].samples {
		seen[[2]string{s.labels["listener"], s.labels["shard"]}] = true
	}
	for _, want := range [][2]string{{"a", "0"}, {"a", "1"}, {"b with {odd} = characters", "0"}, {"b with {odd} = characters", "1"}} {
		if !seen[want] {
			t.Errorf("no sample of listener %s shard %s in %v", want[0], want[1], seen)
		}
	}
	if len(seen) != 4 {
		t.Errorf("samples of %v", seen)
	}
}

func TestOpenMetricsIsNegotiated(t *testing.T) {
	ledger := metrics.NewLedger("v1")
	ledger.Add(&metrics.Listener{Name: "logs", Shards: []*metrics.Shard{numbered()}})
	handler := Handler(ledger)
	for accept, want := range map[string]string{
		"":                         "text/plain; version=0.0.4",
		"*/*":                      "text/plain; version=0.0.4",
		"text/plain;version=0.0.4": "text/plain; version=0.0.4",
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5": "application/openmetrics-text; version=1.0.0",
	} {
		response := get(handler, "/metrics", "Accept", accept)
		kind, text := response.Header().Get("Content-Type"), response.Body.String()
		if !strings.HasPrefix(kind, want) {
			t.Errorf("Accept %q: %s, want %s", accept, kind, want)
		}
		open := strings.HasPrefix(want, "application/openmetrics-text")
		if strings.HasSuffix(text, "# EOF\n") != open {
			t.Errorf("Accept %q: the text ends in %q", accept, text[max(0, len(text)-50):])
		}
		// OpenMetrics names the family without _total.
		if strings.Contains(text, "# TYPE udpshard_datagrams_received counter\n") != open {
			t.Errorf("Accept %q: the type of a counter is not told as %s does", accept, want)
		}
		if !strings.Contains(text, `udpshard_datagrams_received_total{listener="logs",shard="1"} 1e+06`) &&
			!strings.Contains(text, `udpshard_datagrams_received_total{listener="logs",shard="1"} 1.0e+06`) {
			t.Errorf("Accept %q: the sample is missing", accept)
		}
	}
}

// Takeovers have one sample for each reason.
func TestTakeovers(t *testing.T) {
	ledger := metrics.NewLedger("v1")
	for reason := range metrics.TakeoverReasons {
		for range reason + 1 {
			ledger.Takeovers().Add(reason, time.Now())
		}
	}
	samples := scrape(t, get(Handler(ledger), "/metrics").Body)["udpshard_takeovers_total"].samples
	got := make(map[string]float64)
	for _, s := range samples {
		got[s.labels["reason"]] = s.value
	}
	if want := map[string]float64{"upgrade": 1, "stop": 2, "died": 3, "stalled": 4, "restart": 5}; !maps.Equal(got, want) || len(samples) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The equation of the ledger holds in every scrape while a shard's thread and the writer of the
// output count.
func TestLedgerHoldsInEveryScrape(t *testing.T) {
	ledger, shard := metrics.NewLedger("v1"), metrics.NewShard(0, 0)
	ledger.Add(&metrics.Listener{Name: "logs", Shards: []*metrics.Shard{shard}})
	handler := Handler(ledger)
	const batches = 200_000
	var work sync.WaitGroup
	records := make(chan uint64, 4)
	work.Go(func() { // the shard's thread
		defer close(records)
		for range batches {
			shard.Received.Add(8)
			shard.NotAllowed.Add(1)
			shard.RateLimited.Add(1)
			shard.Malformed.Add(1)
			shard.OutputLost.Add(1)
			records <- 4
		}
	})
	work.Go(func() { // the output's writer
		for n := range records {
			shard.Delivered.Add(n)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		work.Wait()
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(100 * time.Microsecond):
		}
		for _, r := range scraped(t, get(handler, "/metrics").Body) {
			d := r.Dropped
			if r.Received != r.Delivered+r.InFlight+d.NotAllowed+d.RateLimited+d.Malformed+d.Output || int64(r.InFlight) < 0 {
				t.Errorf("the equation does not hold: %+v", r)
			}
			if !running && (r.InFlight != 0 || r.Received != 8*batches) {
				t.Errorf("at the end: %+v", r)
			}
		}
	}
}

// numbered returns a shard of which every number is different.
func numbered() *metrics.Shard {
	s := metrics.NewShard(1, 2)
	s.StartThread(77, 0)
	s.Received.Store(1_000_000)
	s.Bytes.Store(10)
	s.Batches.Store(11)
	s.Delivered.Store(9)
	s.Handled.Store(3)
	s.Replied.Store(13)
	s.Truncated.Store(14)
	s.Unparsed.Store(15)
	s.MalformedHeader.Store(26)
	s.NotAllowed.Store(16)
	s.RateLimited.Store(17)
	s.Malformed.Store(18)
	s.OutputLost.Store(19)
	s.ReplyLost.Store(20)
	s.Attach(socket{})
	return s
}

// socket is a metrics.Socket with constant values.
type socket struct{}

func (socket) Memory() (queued, buffer, dropped uint32, err error) { return 22, 23, 21, nil }

func (socket) Cookie() uint64 { return 1 }

func (socket) CPUTime() (time.Duration, error) { return 1500 * time.Millisecond, nil }
