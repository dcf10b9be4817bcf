package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/logging"
	"github.com/udpshard/udpshard/internal/steer"
)

// logStart logs the takeover by which this process became active, and the listeners, when every
// shard reads or ctx ends.
func (s *server) logStart(ctx context.Context) {
	last, err := s.readingSince(ctx)
	s.loop.predecessor.Close()
	if f := s.succession.Finished(); f != nil {
		if err == nil && !f.Stopped.IsZero() {
			f.Event.Float64("gap_ms", logging.Round(last.Sub(f.Stopped).Seconds()*1000))
		}
		f.Event.Msg("takeover finished")
	}
	if s.outputs.spool != nil {
		s.logSpool()
	}
	for _, l := range s.listeners {
		s.logListening(l)
	}
}

// readingSince waits until all shards read, and returns when the last shard began. The error is the
// end of ctx.
func (s *server) readingSince(ctx context.Context) (last time.Time, err error) {
	for _, g := range s.listeners {
		at, err := g.ReadingSince(ctx)
		if err != nil {
			return last, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

func (s *server) logListening(opened *listener) {
	l, account := opened.settings, opened.Listener()
	var cpus []int
	for _, shard := range account.Shards {
		cpus = append(cpus, shard.CPU)
	}
	asked, granted := opened.ReceiveBuffer()
	mode := account.Steering().Mode
	s.log.Info().Str("listener", l.Name).Str("address", account.Address).Str("protocol", l.Protocol).
		Int("shards", len(cpus)).Ints("cpus", cpus).Str("steer", mode).
		Str("receive_buffer", cli.FormatSize(granted)).Str("output", l.Outputs()).Msg("listening")
	if opened.dns != nil {
		opened.dns.LogZones(s.log)
	}
	log := s.log.With().Str("listener", l.Name).Logger()
	if l.GRO {
		log.Warn().Str("effect", "the kernel counts a dropped GRO batch as one datagram").
			Msg("losses counted by GRO batches")
	}
	if len(l.To) == 0 && l.Output == "stdout" && cli.IsNull(os.Stdout) {
		log.Warn().Msg("standard output discards records")
	}
	if l.Steer == steer.Auto && !l.Join && mode != string(steer.Auto) {
		log.Warn().Str("remedy", "udpshard doctor").
			Str("effect", "the kernel's hash spreads datagrams; skew is not corrected").
			Msg("steering program refused by the kernel")
	}
	if granted < asked {
		log.Warn().Str("asked", cli.FormatSize(asked)).Str("granted", cli.FormatSize(granted)).
			Str("remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", asked)).
			Str("effect", "bursts are dropped sooner").Msg("receive buffer smaller than asked")
	}
}
