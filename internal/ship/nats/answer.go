package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// answer is what a stream answers to a message (NATS architecture decision records 1 and 22). An
// answer with the member duplicate acknowledges: the stream has the message from before.
type answer struct {
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"`
	Error    *jetstream.APIError `json:"error"`
}

// parseAnswer returns the answer of one of the known streams, if there is no error, without an
// allocation.
func parseAnswer(data []byte, streams []string) (a answer, err error) {
	simple := true
	for key, value := range record.Members(data) {
		switch string(key) {
		case "stream":
			name := record.Text(value)
			i := slices.IndexFunc(streams, func(s string) bool { return s == string(name) })
			if simple = simple && i >= 0; i >= 0 {
				a.Stream = streams[i]
			}
		case "seq":
			a.Sequence, err = strconv.ParseUint(string(value), 10, 64)
			simple = simple && err == nil
		case "error":
			simple = false
		}
	}
	if simple && a.Stream != "" && a.Sequence > 0 {
		return a, nil
	}
	var other answer
	err = json.Unmarshal(data, &other)
	return other, err
}

// errTooLarge is the code of the server's error JSStreamMessageExceedsMaximumErr.
const errTooLarge = 10054

// handle notes the answer to a message.
func (p *publication) handle(reply *nats.Msg) {
	number, err := strconv.ParseUint(reply.Subject[len(p.inbox):], 10, 64)
	i := number - p.first
	if err != nil || number < p.first || i >= uint64(len(p.messages)) || p.messages[i].done {
		return // a second answer
	}
	m := &p.messages[i]
	p.waiting--
	if len(reply.Data) == 0 {
		p.fail(errors.New("no stream answers: it is missing, or has no leader"))
		return
	}
	switch a, err := parseAnswer(reply.Data, p.streams); {
	case err != nil || a.Error == nil && a.Stream == "":
		p.fail(errors.New("the answer to a message is not of JetStream"))
	case a.Error == nil:
		m.done, m.stream, m.sequence = true, a.Stream, a.Sequence
	case a.Error.ErrorCode == errTooLarge && m.count == 1:
		m.done = true
		p.reject(m.first, apiError(a.Error).Error())
	default:
		p.fail(fmt.Errorf("stream %s: %w", a.Stream, apiError(a.Error)))
	}
}

// result returns the result of Send.
func (p *publication) result(ctx context.Context) error {
	slices.SortFunc(p.rejected, func(a, b ship.Rejection) int { return cmp.Compare(a.Index, b.Index) })
	if p.err == nil {
		if len(p.rejected) == 0 {
			return nil
		}
		return &ship.Error{Rejected: p.rejected}
	}
	e := &ship.Error{Err: failure(ctx, p.err), Acknowledged: p.next}
	for _, m := range p.messages {
		if !m.done {
			e.Acknowledged = m.first
			break
		}
	}
	for _, r := range p.rejected {
		if r.Index < e.Acknowledged {
			e.Rejected = append(e.Rejected, r)
		}
	}
	var own *ship.Error
	e.Permanent = errors.As(p.err, &own) && own.Permanent
	return e
}
