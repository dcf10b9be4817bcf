package relp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// answer is the result of a record.
type answer byte

const (
	unanswered answer = iota
	accepted
	rejected
)

// transactions are the transactions of one batch. The transaction first+i is that of the record
// order[i].
type transactions struct {
	first   int   // transaction number
	order   []int // indices of the records that are sent: without those that cannot be
	sent    int   // records of order
	open    int   // sent, without a response
	answers []answer
	reasons []ship.Rejection // of rejected records, in the order of the responses
	// doubtful: the last response was an error. The record is rejected if the session goes on.
	doubtful bool
}

// reset prepares for a batch. Records larger than maxSize bytes are rejected here. Empty records
// are sent: rsyslog keeps them.
func (t *transactions) reset(records [][]byte, maxSize int) {
	*t = transactions{order: t.order[:0], answers: t.answers[:0], reasons: t.reasons[:0]}
	for i, r := range records {
		if len(r) <= maxSize {
			t.order = append(t.order, i)
			t.answers = append(t.answers, unanswered)
			continue
		}
		reason := fmt.Sprintf("record of %d bytes: max_size is %d bytes", len(r), maxSize)
		t.answers = append(t.answers, rejected)
		t.reasons = append(t.reasons, ship.Rejection{Index: i, Reason: reason})
	}
}

// respond notes the response to a transaction.
func (t *transactions) respond(transaction int, data []byte) error {
	i := transaction - t.first
	if i < 0 || i >= t.sent || t.answers[t.order[i]] != unanswered {
		return fmt.Errorf("response to transaction %d, which is not open", transaction)
	}
	code, text, _, err := parseResponse(data)
	if err != nil {
		return err
	}
	record := t.order[i]
	t.open--
	t.answers[record] = accepted
	t.doubtful = code != 200
	if t.doubtful {
		t.answers[record] = rejected
		t.reasons = append(t.reasons, ship.Rejection{Index: record, Reason: reason(code, text)})
	}
	return nil
}

// answered returns how many responses have arrived.
func (t *transactions) answered() int { return t.sent - t.open }

// result returns the result of Send, with the error that ended the session, if any.
func (t *transactions) result(err error) error {
	if err != nil && t.doubtful {
		last := len(t.reasons) - 1
		refused := t.reasons[last]
		t.answers[refused.Index] = unanswered
		t.reasons = t.reasons[:last]
		err = fmt.Errorf("after the response %q: %w", refused.Reason, err)
	}
	acknowledged := slices.Index(t.answers, unanswered)
	if acknowledged < 0 {
		acknowledged, err = len(t.answers), nil
	}
	var refusals []ship.Rejection
	for _, r := range t.reasons {
		if r.Index < acknowledged {
			refusals = append(refusals, r)
		}
	}
	slices.SortFunc(refusals, func(a, b ship.Rejection) int { return a.Index - b.Index })
	if err == nil && refusals == nil {
		return nil
	}
	e := asError(err)
	e.Acknowledged, e.Rejected = acknowledged, refusals
	if err == nil {
		e.Acknowledged = 0
	}
	return e
}

// reason returns the code and the text of a response, without control characters, shortened.
func reason(code int, text []byte) string {
	const maxText = 200
	printable := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(string(text[:min(len(text), maxText)]), "?"))
	return strings.TrimSpace(fmt.Sprintf("%03d %s", code, printable))
}
