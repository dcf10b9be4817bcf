package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// encoded returns the status as /api/v1/status has it.
func encoded(t *testing.T, l *Ledger) string {
	t.Helper()
	var text strings.Builder
	if err := json.NewEncoder(&text).Encode(l.Status()); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// ledgerAt returns a ledger with a known time of start and ID.
func ledgerAt(version string) *Ledger {
	l := NewLedger(version)
	l.Started = time.Date(2026, 11, 20, 11, 2, 3, 456_789_000, time.FixedZone("", 5*3600))
	l.id, l.process.PIDNamespace = countersID, 0
	l.SetConfig(l.Config().After(nil, l.Started))
	return l
}

const countersID = 0xabcdef

// statusSample is the documented status, byte for byte, with … for version, time and ID.
const statusSample = `{"version":"…","pid":1,"role":"active","started_at":"…","counters_id":"…","counters_since":"2026-11-20T06:02:03.456Z","standbys":[{"pid":1,"pid_namespace":4026532281,"version":"v1.2.2"}],"takeovers":{"upgrade":0,"stop":0,"died":0,"stalled":0,"restart":0,"patience_factor":1},"config":{"last_reload_successful":true,"last_reload_success_at":"2026-11-20T06:02:03.456Z"},"listeners":[{"name":"syslog","address":"127.0.0.1:5514",
 "protocol":"syslog","steer":"hash","receive_buffer":33554432,"shards":[{"shard":0,"cpu":0,"thread":77,"received":0,"bytes":0,"batches":0,
 "delivered":0,"replied":0,"in_flight":0,"truncated":0,"unparsed":0,"malformed_header":0,
 "dropped":{"kernel":0,"not_allowed":0,"rate_limited":0,"malformed":0,"output":0,"reply":0,"lost_in_crash":0},
 "last_dropped":{},"queue_bytes":0,"buffer_bytes":0,"waits_for_output":false,"cpu_nanoseconds":0}],
 "steering":{"in_force":"auto","buckets":256,"moved_buckets":3,"sprayed_sources":["10.0.0.7:514"],"stalled_shards":[0],"avoided_shards":[0,1],"changes":{"spray":1}},
 "top_senders":[{"source":"10.0.0.7:514","per_second":90000,"percent":91,"sprayed":true}],"skew":"91% come from one sender, 10.0.0.7:514; spraying it",
 "refused_senders":[{"source":"2001:db8::/64","not_allowed":1,"rate_limited":2000,"per_second":300,"last_at":"2026-11-20T06:02:03Z"}],"outputs":[{"to":"nats://127.0.0.1:4222/logs","spooled":10,"acknowledged":4,"waiting":3,"rejected":2,"expired":1,"waiting_bytes":300,"oldest_waiting_seconds":1.5,"resent":5,"retries":6,"last_error":"away","last_expired":"2026-11-20T06:02:03.456Z"}]}]}`

func TestStatusIsAsDocumented(t *testing.T) {
	want := strings.ReplaceAll(statusSample, "\n ", "")
	want = strings.Replace(want, `"version":"…"`, `"version":"v1.2.3"`, 1)
	want = strings.Replace(want, `"started_at":"…"`, `"started_at":"2026-11-20T06:02:03.456Z"`, 1)
	want = strings.Replace(want, `"counters_id":"…"`, fmt.Sprintf(`"counters_id":"%016x"`, countersID), 1)
	want = strings.Replace(want, `"pid":1`, fmt.Sprintf(`"pid":%d`, os.Getpid()), 1) + "\n"

	shard := NewShard(0, 0)
	shard.StartThread(77, 0)
	ledger := ledgerAt("v1.2.3")
	listener := &Listener{Name: "syslog", Address: "127.0.0.1:5514", Protocol: "syslog", Shards: []*Shard{shard},
		ReceiveBuffer: 32 << 20}
	listener.SetSteering(Steering{
		Mode: "hash", InForce: "auto", Buckets: 256, MovedBuckets: 3, SprayedSources: []string{"10.0.0.7:514"}, StalledShards: []int{0}, AvoidedShards: []int{0, 1},
		Changes:    map[string]uint64{"spray": 1},
		TopSenders: []Sender{{Source: "10.0.0.7:514", PerSecond: 90_000, Percent: 91, Sprayed: true}},
		Skew:       "91% come from one sender, 10.0.0.7:514; spraying it",
	})
	listener.SetRefusedSenders([]RefusedSender{{Source: "2001:db8::/64", NotAllowed: 1, RateLimited: 2000, PerSecond: 300,
		LastAt: time.Date(2026, 11, 20, 6, 2, 3, 0, time.UTC)}})
	listener.Outputs = func() []Output {
		return []Output{{To: "nats://127.0.0.1:4222/logs", Spooled: 10, Acknowledged: 4, Waiting: 3, Rejected: 2,
			Expired: 1, WaitingBytes: 300, OldestWaiting: 1.5, Resent: 5, Retries: 6, LastError: "away",
			LastExpired: ledger.Started.UTC().Truncate(time.Millisecond)}}
	}
	ledger.Add(listener)
	ledger.SetStandbys(func() []StandbyStatus { return []StandbyStatus{{ProcessStatus{1, 4026532281}, "v1.2.2"}} })
	if got := encoded(t, ledger); got != want {
		t.Errorf("status\n%swant\n%s", got, want)
	}
}

// unsteered is the JSON of a listener before SetSteering.
const unsteered = `"steering":{"in_force":"","buckets":0,"moved_buckets":0,"sprayed_sources":[],"stalled_shards":[],"avoided_shards":[],"changes":{}},"top_senders":[],"skew":"","refused_senders":[],"outputs":[]`

// Every key has its own counter.
func TestStatusFigures(t *testing.T) {
	ledger := ledgerAt("x")
	ledger.Add(&Listener{Name: "a", Shards: []*Shard{NewShard(0, 0), numbered()}})
	ledger.Add(&Listener{Name: "b"})
	ledger.SetRole(Draining)
	ledger.SetConfig(ledger.Config().After(errors.New("refused"), time.Now()))
	const want = `"role":"draining","started_at":"T","counters_id":"0000000000abcdef","counters_since":"T","standbys":[],"takeovers":{"upgrade":0,"stop":0,"died":0,"stalled":0,"restart":0,"patience_factor":1},"config":{"last_reload_successful":false,"last_reload_success_at":"T"},"listeners":[` +
		`{"name":"a","address":"","protocol":"","steer":"","receive_buffer":0,"shards":[` +
		`{"shard":0,"cpu":0,"thread":0,"received":0,"bytes":0,"batches":0,"delivered":0,"replied":0,"in_flight":0,"truncated":0,"unparsed":0,"malformed_header":0,` +
		`"dropped":{"kernel":0,"not_allowed":0,"rate_limited":0,"malformed":0,"output":0,"reply":0,"lost_in_crash":0},"last_dropped":{},"queue_bytes":0,"buffer_bytes":0,"waits_for_output":false,"cpu_nanoseconds":0},` +
		`{"shard":1,"cpu":2,"thread":77,"received":1000000,"bytes":10,"batches":11,"delivered":12,"replied":13,"in_flight":999918,"truncated":14,"unparsed":15,"malformed_header":26,` +
		`"dropped":{"kernel":21,"not_allowed":16,"rate_limited":17,"malformed":18,"output":19,"reply":20,"lost_in_crash":0},"last_dropped":{"kernel":"T","not_allowed":"T","rate_limited":"T","malformed":"T","output":"T","reply":"T"},"queue_bytes":22,"buffer_bytes":23,"waits_for_output":false,"cpu_nanoseconds":1500000000}],` + unsteered + `},` +
		`{"name":"b","address":"","protocol":"","steer":"","receive_buffer":0,"shards":[],` + unsteered + `}]}` + "\n"
	got := regexp.MustCompile(`"20[-0-9T:.]+Z"`).ReplaceAllString(encoded(t, ledger), `"T"`)
	if !strings.HasSuffix(got, want) {
		t.Errorf("status\n%swant at its end\n%s", got, want)
	}
}

// The JSON of a ledger without listeners has an empty list.
func TestStatusWithoutListeners(t *testing.T) {
	if got := encoded(t, ledgerAt("x")); !strings.HasSuffix(got, `"listeners":[]}`+"\n") {
		t.Errorf("status %s", got)
	}
}

// A shard may be away for a second. An idle shard comes back every 50 ms.
func TestNotReadyAfterASecond(t *testing.T) {
	ledger := NewLedger("x")
	shard := NewShard(0, 0)
	ledger.Add(&Listener{Name: "logs", Shards: []*Shard{shard}})
	now := time.Now()
	shard.StartThread(77, 0)
	shard.Heartbeat(now)
	if why := ledger.NotReady(now.Add(time.Second)); why != nil {
		t.Errorf("after a second: %v", why)
	}
	ledger.Listeners()[0].SetSteering(Steering{StalledShards: []int{1}})
	if why := ledger.NotReady(now.Add(600 * time.Millisecond)); why != nil {
		t.Errorf("another shard is stalled: %v", why)
	}
	ledger.Listeners()[0].SetSteering(Steering{StalledShards: []int{0}})
	stalled := "listener logs shard 0 has not read for 600ms"
	if why := ledger.NotReady(now.Add(600 * time.Millisecond)); len(why) != 1 || why[0] != stalled {
		t.Errorf("stalled: %q, want %q", why, stalled)
	}
	ledger.Listeners()[0].SetSteering(Steering{})
	want := "listener logs shard 0 has not read for 1.2s"
	if why := ledger.NotReady(now.Add(1234 * time.Millisecond)); len(why) != 1 || why[0] != want {
		t.Errorf("after 1.234 s: %q, want %q", why, want)
	}
}
