package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/targets"
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// outputs are where the records go: files, standard output, and the spool with its targets.
type outputs struct {
	*output.Set
	spool   *spool.Spool  // nil: no listener has targets
	shipper *ship.Shipper // of the spool
	token   string        // of spool.Acquire, from the predecessor
}

// openSpool opens the spool and its targets, if a listener has targets. A spool from which a
// process ships that is no predecessor is an error.
func (s *server) openSpool(from *succession.Predecessor) (err error) {
	o := &s.outputs
	hasTargets := false
	for _, l := range s.config.Listeners {
		hasTargets = hasTargets || len(l.To) > 0
	}
	if !hasTargets {
		return nil
	}
	c := s.config.Spool
	o.spool, err = spool.Open(spool.Settings{Path: c.Path, MaxSize: int64(c.MaxSize),
		SegmentSize: int64(c.SegmentSize), WhenFull: spool.WhenFull(c.WhenFull),
		Sync: c.Sync.Interval, SyncSegment: c.Sync.Segments}, s.spoolEvent)
	if err != nil {
		return preflight.SpoolError(s.config, err)
	}
	if o.token == "" {
		o.token = rand.Text()
	}
	if from == nil {
		err = o.spool.Acquire(o.token)
	} else {
		err = o.spool.CheckLock(o.token)
	}
	if err != nil {
		return preflight.SpoolError(s.config, err)
	}
	o.shipper = ship.New(o.spool, o.token, s.targetEvent)
	for _, l := range s.config.Listeners {
		for _, settings := range l.Targets() {
			if err := o.addTarget(settings); err != nil {
				return preflight.SpoolError(s.config, err)
			}
		}
	}
	return s.logUnconfigured()
}

// logUnconfigured logs listeners that have records in the spool, and are not configured.
func (s *server) logUnconfigured() error {
	var names []string
	for _, l := range s.config.Listeners {
		names = append(names, l.Name)
	}
	others, err := s.outputs.spool.OtherListeners(names)
	for _, name := range others {
		s.log.Warn().Str("listener", name).Str("remedy", "udpshard spool "+s.config.Spool.Path).
			Str("effect", "these records wait until the listener is configured again").
			Msg("spool of a listener that is not configured")
	}
	return err
}

func (o *outputs) addTarget(settings *ship.Settings) error {
	l, err := o.spool.Listener(settings.Listener)
	if err != nil {
		return err
	}
	target, err := targets.New(settings)
	if err != nil {
		return err
	}
	return o.shipper.Add(l, settings, target)
}

// maxRecord returns the length of the longest record of a datagram of size bytes: each byte escaped
// as \u00XX, and the fields around the bytes, of which the data of DNS answers has 4 KiB. Other
// formats need less: #ooo for a byte.
func maxRecord(size int) int { return 6*size + 8192 }

// openSink opens the output of a shard. An output of DNS records drops records instead of delaying
// an answer.
func (o *outputs) openSink(
	l *config.Listener, shard int, counters *metrics.Shard,
) (packet.Sink, error) {
	lossy := l.Protocol == "dns"
	if len(l.To) > 0 {
		series, err := o.spool.Listener(l.Name)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("spool of %s, shard %d", l.Name, shard)
		open := func() output.Destination { return series.Writer(shard, counters) }
		return o.OpenDestination(name, open, counters, maxRecord(l.MaxDatagram), lossy), nil
	}
	open := o.Open
	if lossy {
		open = o.OpenLossy
	}
	o.SetRotation(l.Output, shard, l.Rotation())
	if l.Format == ship.Dnstap {
		o.SetDnstap(l.Output, shard)
	}
	sink, err := open(l.Output, shard, counters, maxRecord(l.MaxDatagram))
	if err != nil {
		return nil, preflight.OutputError(l, err)
	}
	return sink, nil
}

// targetLedgers returns the function that reads the ledgers of a listener's targets; nil: the
// listener has none.
func (o *outputs) targetLedgers(l *config.Listener) func() []metrics.Output {
	if len(l.To) == 0 {
		return nil
	}
	return func() []metrics.Output { return o.shipper.Outputs(l.Name) }
}

// startShipping starts to ship, in an active process.
func (o *outputs) startShipping() {
	if o.shipper != nil {
		o.shipper.Start()
	}
}

// stopShipping ends shipping, and releases the lock of the spool for the next process.
func (o *outputs) stopShipping() {
	if o.shipper != nil {
		o.shipper.Stop(context.Background(), false)
	}
}

// closeSpool closes the spool after the outputs. With drain, targets that work get what waits, until
// the end of ctx.
func (o *outputs) closeSpool(ctx context.Context, drain bool) {
	if o.shipper != nil {
		o.shipper.Stop(ctx, drain)
	}
	if o.spool != nil {
		o.spool.Close()
	}
}

// logSpool logs where records wait for targets, and the room there.
func (s *server) logSpool() {
	c := s.config.Spool
	event := s.log.Info().Str("path", c.Path).Str("max_size", cli.FormatSize(c.MaxSize)).
		Str("size", cli.FormatSize(int(s.outputs.spool.Size())))
	free, err := s.outputs.spool.Free()
	if err == nil {
		event.Str("free", cli.FormatSize(int(free)))
	}
	event.Msg("spool opened")
	if err == nil && free+s.outputs.spool.Size() < int64(c.MaxSize) {
		s.log.Warn().Str("free", cli.FormatSize(int(free))).Str("max_size", cli.FormatSize(c.MaxSize)).
			Str("remedy", "set spool.max_size to less than the file system has").
			Str("effect", "shards wait when the file system is full").Msg("spool larger than its file system")
	}
}

// spoolEvent logs damage and dropped records of the spool.
func (s *server) spoolEvent(e spool.Event) {
	event := s.log.Error().Str("listener", e.Listener).Str("to", e.Target)
	if d := e.Damage; d != nil {
		event.Str("file", d.File).Int64("start", d.Start).Int64("end", d.End).
			Uint64("records", d.Records).Str("reason", d.Reason).
			Str("effect", "these records are not shipped; the file is kept as NAME.damaged").
			Msg("spool damaged")
		return
	}
	event.Uint64("records", e.Expired).Msg("spool full: oldest records dropped")
}

// targetEvent logs an event of a target.
func (s *server) targetEvent(e ship.Event) {
	failing := e.Failing.Round(time.Millisecond)
	var event = s.log.Info()
	switch {
	case e.Seized != 0:
		s.log.Warn().Int("from_pid", e.Seized).Msg("spool taken over from a process that does not run")
		return
	case e.Target == "":
		s.log.Error().Err(e.Err).Str("effect", "records wait in the spool").Msg("spool not locked")
		return
	case e.Abandoned:
		s.log.Warn().Str("listener", e.Listener).Str("to", e.Target).Uint64("waiting", e.Waiting).
			Str("effect", "the target gets no more records; if it comes back, it gets all that the spool has").
			Msg("target removed from the configuration")
		return
	case e.Rejected > 0:
		s.log.Error().Str("listener", e.Listener).Str("to", e.Target).Int("records", e.Rejected).
			Str("reason", e.Reason).Str("effect", "the records are in rejected.json of the spool").
			Msg("records rejected")
		return
	case e.Err != nil:
		event = s.log.Error().Err(e.Err)
	}
	event.Str("listener", e.Listener).Str("to", e.Target)
	if e.Err == nil {
		event.Stringer("failed_for", failing).Msg("target recovered")
		return
	}
	event.Stringer("failing_for", failing).Uint64("waiting", e.Waiting).Msg("target failing")
}
