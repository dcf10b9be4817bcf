package server

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/steer"
)

// logGroupEvent logs an event of a listener's group.
func (s *server) logGroupEvent(listener string, e engine.Event) {
	log := s.log.With().Str("listener", listener).Logger()
	switch c := e.Change; {
	case e.Filter && e.Err != nil:
		log.Error().Err(e.Err).Str("effect", "the filter of another process drops datagrams").
			Msg("socket filter not detached")
	case e.Err != nil:
		log.Error().Err(e.Err).Str("effect", "datagrams are spread as before").
			Msg("steering change failed")
	case e.Shared:
		log.Warn().
			Str("remedy", "start both processes with --join, or give each process its own port").
			Str("effect", "the kernel's hash spreads datagrams; steering is off").
			Msg("port shared with another process")
	case e.Alone:
		log.Info().Str("effect", "steering is on").Msg("port no longer shared")
	default:
		logChange(log, c)
	}
}

// logChange logs a change of steering. The message is the same for all changes of a kind.
func logChange(log zerolog.Logger, c steer.Change) {
	event := log.Info()
	switch c.Kind {
	case steer.Reattaching, steer.Unfiltering, steer.Avoiding, steer.Stalling:
		event = log.Warn()
	}
	if c.Sender.IsValid() {
		event.Stringer("sender", c.Sender)
	}
	if c.Kind != steer.Reattaching { // a change of the group
		event.Int("shard", c.Shard)
	}
	if c.Buckets > 0 {
		event.Int("buckets", c.Buckets)
	}
	event.Str("reason", c.Reason).Msg(c.String())
}

// filesOpened logs how many output files were reopened, and how many could not be reopened.
// outputEvent logs each error.
func (s *server) filesOpened(opened, failed int) {
	event := s.log.Info()
	if failed > 0 {
		event = s.log.Warn()
	}
	event.Int("opened", opened).Int("failed", failed).Msg("output files reopened")
}

// outputEvent logs an event of an output.
func (s *server) outputEvent(e output.Event) {
	if e.Task != "" {
		logTask(s.log, e)
		return
	}
	event := s.log.Info()
	switch {
	case e.Err != nil:
		event = s.log.Error().Err(e.Err)
	case e.Dropping:
		event = s.log.Warn()
	}
	event.Str("output", e.Destination)
	failing := e.Failing.Round(time.Millisecond)
	switch {
	case e.Reopen && e.Err == nil:
		event.Msg("output reopened")
	case e.Reopen:
		event.Msg("output reopen failed")
	case e.Dropping:
		event.Uint64("dropped", e.Dropped).Stringer("dropping_for", failing).
			Msg("output dropping records")
	case e.Dropped > 0:
		event.Uint64("dropped", e.Dropped).Stringer("dropped_for", failing).
			Msg("output accepting records again")
	case e.Err == nil:
		event.Stringer("failed_for", failing).Msg("output recovered")
	default:
		event.Stringer("failing_for", failing).Msg("output failing")
	}
}

// logTask logs a rotation of an output file, or a task of a closed file. Files may be rotated many
// times a minute, so successes have the level debug.
func logTask(log zerolog.Logger, e output.Event) {
	event := log.Debug()
	switch {
	case e.Err != nil:
		event = log.Error().Err(e.Err)
	case e.Failing > 0:
		event = log.Info().Stringer("failed_for", e.Failing.Round(time.Millisecond))
	case e.File == "": // another program has renamed the file
		return
	}
	event.Str("output", e.Destination)
	if e.File != "" {
		event.Str("file", e.File)
	}
	failed := e.Err != nil
	switch e.Task {
	case output.Rotate:
		switch {
		case failed:
			event.Str("effect", "records go on into the old file").Msg("output rotation failed")
		case e.Failing > 0:
			event.Msg("output rotation recovered")
		default:
			event.Msg("output rotated")
		}
	case output.Compress:
		if failed {
			event.Msg("closed output file not compressed")
		} else {
			event.Msg("closed output file compressed")
		}
	case output.Delete:
		if failed {
			event.Msg("closed output file not deleted")
		} else {
			event.Msg("closed output file deleted")
		}
	}
}
