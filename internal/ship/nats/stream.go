package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
)

// streamName returns the name of the stream for create_stream: the option stream, or the words of
// the subject without placeholders, in capitals: LOGS_SYSLOG for logs.syslog.{shard}.
func streamName(s *ship.Settings, o *options) (string, error) {
	name, set := s.Options["stream"]
	if !set {
		words := slices.DeleteFunc(strings.Split(o.subject.pattern, "."), func(word string) bool {
			return word == "*"
		})
		if len(words) == 0 {
			words = []string{"udpshard"}
		}
		name = strings.ToUpper(strings.Join(words, "_"))
		return strings.Map(func(c rune) rune {
			if isTokenRune(c) && c != '\\' {
				return c
			}
			return '_'
		}, name), nil
	}
	isOther := func(c rune) bool { return c == '\\' || !isTokenRune(c) }
	switch {
	case name == "" || strings.ContainsFunc(name, isOther):
		return "", fmt.Errorf("option stream: %q is no name of a stream: letters, digits, - and _", name)
	case !o.createStream:
		return "", errors.New("option stream: names the stream that create_stream=true makes: " +
			"without it, the server finds the stream by the subject")
	}
	return name, nil
}

// findStreams finds the streams that take the subject, and their largest message.
func (t *target) findStreams(ctx context.Context, c *connection) error {
	ctx, cancel := c.request(ctx)
	defer cancel()
	list := c.js.StreamNames(ctx, jetstream.WithStreamListSubject(t.subject.pattern))
	for name := range list.Name() {
		c.streams = append(c.streams, name)
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("find the stream of the subject %s: %w", t.subject.pattern, apiError(err))
	}
	if len(c.streams) == 0 {
		if err := t.makeStream(ctx, c); err != nil {
			return err
		}
		c.streams = append(c.streams, t.stream)
	}
	for _, name := range c.streams {
		info, err := c.streamInfo(ctx, name)
		if err != nil {
			return fmt.Errorf("ask the stream %s: %w", name, apiError(err))
		}
		if size := int(info.Config.MaxMsgSize); size > 0 {
			c.maxMessage = min(c.maxMessage, size)
		}
	}
	return nil
}

// streamInfo returns the configuration and the state of a stream.
func (c *connection) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := c.request(ctx)
	defer cancel()
	stream, err := c.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// makeStream makes the missing stream, if the settings say so. A stream that another process has
// made meanwhile, with the same settings, is no error.
func (t *target) makeStream(ctx context.Context, c *connection) error {
	if !t.createStream {
		return ship.Permanent(fmt.Errorf("no stream has the subject %s: make one with "+
			"\"nats stream add %s --subjects '%s'\", or set create_stream=true",
			t.subject.pattern, t.stream, t.subject.pattern))
	}
	_, err := c.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: t.stream, Subjects: []string{t.subject.pattern}, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("make the stream %s for the subject %s: %w", t.stream,
			t.subject.pattern, apiError(err))
	}
	return nil
}

// apiError returns an error of JetStream in words.
func apiError(err error) error {
	switch api := new(jetstream.APIError); {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return errors.New("no answer from JetStream: it is off at the server, or not ready")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v", requestTimeout)
	case errors.As(err, &api):
		return fmt.Errorf("%s (error %d)", api.Description, api.ErrorCode)
	}
	return err
}
