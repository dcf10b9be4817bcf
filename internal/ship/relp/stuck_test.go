package relp

import (
	"strings"
	"testing"
)

// The error of a server that ends each session at the same record has the size of the record, and
// the option that rejects it.
func TestSessionsEndAtOneRecord(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url())
	for i := range manyTimes {
		result := send(t, target, "a", strings.Repeat("x", 20_000))
		p := f.acceptOpen()
		p.syslog(2)
		p.syslog(3)
		p.send(response(2, "200 OK"))
		p.conn.Close()
		err := await(t, result)
		named := err != nil && strings.Contains(err.Error(), "a record of 20000 bytes: the option max_size")
		if err == nil || named != (i == manyTimes-1) {
			t.Errorf("session %d: %v", i, err)
		}
	}
}
