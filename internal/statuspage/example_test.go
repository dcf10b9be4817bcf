package statuspage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/metrics"
)

var now = time.Date(2026, 11, 29, 9, 30, 0, 0, time.UTC)

// example is an instance with a steady load: status and history fit together.
type example struct {
	metrics.Status
	long   history.History // of the listeners
	recent history.History // with shards
}

// newExample returns an example that has received for a while, without losses.
func newExample() *example {
	e := &example{
		Status: metrics.Status{
			Version: "0.1.0", ProcessStatus: metrics.ProcessStatus{PID: 4711}, Role: metrics.Active,
			StartedAt: now.Add(-76 * time.Hour), CountersSince: time.Date(2026, 11, 18, 1, 12, 0, 0, time.UTC),
			Standbys: []metrics.StandbyStatus{{ProcessStatus: metrics.ProcessStatus{PID: 4790}, Version: "0.1.0"}},
			Takeovers: metrics.TakeoverStatus{Upgrade: 2, PatienceFactor: 1,
				Last: &metrics.LastTakeover{Reason: "upgrade", At: now.Add(-76 * time.Hour)}},
			Config: metrics.ConfigStatus{LastReloadSuccessful: true, LastReloadSuccessAt: now.Add(-5 * time.Hour)},
		},
		long:   history.History{Now: now, StepSeconds: 1},
		recent: history.History{Now: now, StepSeconds: 1},
	}
	return e
}

// add adds a listener with a mean rate of datagrams per second, and steps of history. load is the
// CPU time of all shards in percent.
func (e *example) add(name, protocol, address string, shards, steps int, rate, load float64) *metrics.ListenerStatus {
	l := metrics.ListenerStatus{Name: name, Protocol: protocol, Address: address, Steer: "auto", ReceiveBuffer: 32 << 20,
		Steering: metrics.Steering{InForce: "auto", Buckets: 256}}
	long, recent := history.Listener{Name: name}, history.Listener{Name: name}
	random, drift := rand.New(rand.NewPCG(uint64(shards), uint64(rate))), 0.0
	for i := range steps {
		drift = 0.97*drift + 0.018*random.NormFloat64()
		extend(&long.Series, rate*(1+0.12*math.Sin(float64(i)/130)+drift+0.012*random.NormFloat64()), 210, load)
	}
	recent.Received = make([]uint64, min(steps, shareSeconds))
	for i := range shards {
		part := (1 + 0.3*math.Sin(float64(i*i)+1)) / float64(shards)
		h := history.Shard{Shard: i}
		for j := range recent.Received {
			extend(&h.Series, part*float64(long.Received[steps-len(recent.Received)+j]), 210, part*load)
			recent.Received[j] += h.Received[j]
		}
		recent.Shards = append(recent.Shards, h)
		total := uint64(part * rate * 900_000)
		flying := min(180, total)
		l.Shards = append(l.Shards, metrics.Reading{Shard: i, CPU: i % 16, Thread: 5000 + i,
			Received: total, Delivered: total - flying, InFlight: flying, Bytes: 210 * total,
			BufferBytes: 64 << 20, QueueBytes: uint64(80 * part * part * float64(shards) * min(rate, 90_000))})
	}
	if rate > 0 {
		for i, source := range []string{"192.0.2.17:51514", "192.0.2.40:514", "[2001:db8::7:1]:40214", "198.51.100.9:514"} {
			percent := uint64(13 - 2*i)
			l.TopSenders = append(l.TopSenders, metrics.Sender{Source: source, PerSecond: uint64(rate) * percent / 100, Percent: percent})
		}
	}
	e.Listeners = append(e.Listeners, l)
	e.long.Listeners = append(e.long.Listeners, long)
	e.recent.Listeners = append(e.recent.Listeners, recent)
	return &e.Listeners[len(e.Listeners)-1]
}

// extend adds a step to a series.
func extend(s *history.Series, rate, size, load float64) {
	s.Received = append(s.Received, uint64(rate))
	s.Delivered = append(s.Delivered, uint64(rate*0.999))
	s.Bytes = append(s.Bytes, uint64(rate*size))
	s.Lost = append(s.Lost, 0)
	s.Refused = append(s.Refused, 0)
	s.CPUPercent = append(s.CPUPercent, uint64(load))
	s.QueuePercent = append(s.QueuePercent, 3)
}

// target adds a target to the newest listener, which acknowledges all that was delivered.
func (e *example) target(to string) *metrics.Output {
	l := &e.Listeners[len(e.Listeners)-1]
	long := &e.long.Listeners[len(e.long.Listeners)-1]
	n := metrics.Sum(l.Shards).Delivered
	l.Outputs = append(l.Outputs, metrics.Output{To: to, Spooled: n, Acknowledged: n - 2048, Waiting: 2048, WaitingBytes: 2048 * 420, OldestWaiting: 0.4})
	long.Outputs = append(long.Outputs, history.Output{To: to, Acknowledged: long.Delivered, Waiting: make([]uint64, len(long.Delivered))})
	return &l.Outputs[len(l.Outputs)-1]
}

// lose adds losses of a shard in the kernel, of which some are in a step of the history.
func (e *example) lose(listener, shard int, n uint64, ago time.Duration) {
	r := &e.Listeners[listener].Shards[shard]
	r.Dropped.Kernel += n
	r.LastDropped.Kernel = now.Add(-ago)
	if lost := e.long.Listeners[listener].Lost; int(ago/time.Second) < len(lost) {
		lost[len(lost)-1-int(ago/time.Second)] += n
	}
}

func (e *example) source() source {
	return source{
		host:   "front-1",
		status: func() metrics.Status { return e.Status },
		history: func(last int, _ bool) history.History {
			if last > 0 {
				return e.recent
			}
			return e.long
		},
		now: func() time.Time { return now },
	}
}

// typical is two listeners and a target.
func typical() *example {
	e := newExample()
	e.add("syslog", "syslog", "[::]:5514", 8, 600, 84_000, 190)
	e.target("kafka://broker-1:9092,broker-2:9092/syslog")
	dns := e.add("resolver", "dns", "192.0.2.1:53", 4, 600, 21_500, 34)
	dns.Shards[1].Dropped.NotAllowed, dns.Shards[1].LastDropped.NotAllowed = 5120, now.Add(-42*time.Minute)
	dns.Shards[2].Dropped.RateLimited, dns.Shards[2].LastDropped.RateLimited = 91_302, now.Add(-7*time.Second)
	dns.RefusedSenders = []metrics.RefusedSender{
		{Source: "198.51.100.0/24", RateLimited: 90_240, PerSecond: 12, LastAt: now.Add(-7 * time.Second)},
		{Source: "203.0.113.9", NotAllowed: 5056, LastAt: now.Add(-42 * time.Minute)},
	}
	return e
}

// losing is the typical example with a small buffer and present losses.
func losing() *example {
	e := typical()
	for i := range e.Listeners[0].Shards {
		e.Listeners[0].Shards[i].BufferBytes = 425_984
		e.Listeners[0].Shards[i].QueueBytes = uint64(9000 * (i + 1))
	}
	e.lose(0, 3, 1200, 42*time.Second)
	e.lose(0, 3, 643, 12*time.Second)
	e.Listeners[0].Shards[3].QueueBytes = 420_000
	e.Listeners[0].Shards[5].Dropped.LostInCrash, e.Listeners[0].Shards[5].LastDropped.LostInCrash = 20, now.Add(-76*time.Hour)
	o := &e.Listeners[0].Outputs[0]
	o.LastError, o.Waiting, o.OldestWaiting, o.WaitingBytes = "dial tcp 192.0.2.80:9092: connect: connection refused", 2_419_200, 1730, 2_419_200*420
	return e
}

// large has 20 listeners with long names, of which the first has 64 shards.
func large() *example {
	e := newExample()
	const longName = "an-unusually-long-name-of-a-listener-that-has-no-place-to-break-ありがとう-<b>&amp;"
	for i := range 20 {
		shards := 4
		if i == 0 {
			shards = 64
		}
		l := e.add(fmt.Sprintf("%s-%d", longName, i), "syslog", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65514", shards, 600, 20_000, 300)
		l.TopSenders[0].Source = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65514"
		e.target("https://user@a-very-long-name-of-a-host.in.a.very.long.domain.example.org:8443/insert/into/a/table?with=many&parameters=of&every=kind").
			LastError = "Post \"https://a-very-long-name-of-a-host.in.a.very.long.domain.example.org:8443/insert\": context deadline exceeded"
	}
	e.lose(0, 17, 1_234_567_890, time.Second)
	e.Listeners[0].RefusedSenders = []metrics.RefusedSender{{Source: "2001:db8:1234:5678::/64", NotAllowed: 1_234_567_890,
		RateLimited: 1_234_567_890, PerSecond: 123_456, LastAt: now.Add(-72 * time.Hour)}}
	e.Listeners[0].Steering.StalledShards = []int{17}
	e.Listeners[0].Steering.AvoidedShards = []int{17, 18}
	e.Listeners[0].Steering.SprayedSources = []string{"[2001:db8:1234:5678:9abc:def0:1234:5678]:65514"}
	e.Listeners[0].Skew = "shard 17 took 91%: one sender, [2001:db8:1234:5678:9abc:def0:1234:5678]:65514"
	return e
}

// wide is a listener with 64 shards.
func wide() *example {
	e := newExample()
	l := e.add("syslog", "syslog", "[::]:5514", 64, 600, 1_840_000, 2900)
	l.Steering.MovedBuckets, l.Steering.SprayedSources = 9, []string{"192.0.2.17:51514"}
	l.Steering.StalledShards, l.Steering.AvoidedShards = []int{41}, []int{41}
	l.Shards[17].WaitsForOutput = true
	l.TopSenders[0].Sprayed = true
	e.lose(0, 41, 52_113, 8*time.Minute)
	return e
}

// young is an instance that has just started: a listener with a short history, and an idle one.
func young() *example {
	e := newExample()
	e.StartedAt, e.CountersSince, e.Status.Standbys, e.Takeovers = now.Add(-95*time.Second), now.Add(-95*time.Second), nil, metrics.TakeoverStatus{}
	e.add("syslog", "syslog", "[::]:5514", 2, 95, 1200, 4)
	e.add("idle", "raw", "127.0.0.1:5600", 2, 95, 0, 0)
	return e
}

// standby is a process that waits for the active process.
func standby() *example {
	e := newExample()
	e.add("syslog", "syslog", "[::]:5514", 8, 0, 0, 0)
	e.add("resolver", "dns", "192.0.2.1:53", 4, 0, 0, 0)
	e.Status.Role, e.Status.Standbys, e.Status.Takeovers = metrics.Standby, nil, metrics.TakeoverStatus{}
	return e
}
