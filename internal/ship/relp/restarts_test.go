package relp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

const (
	restarts       = 5
	restartRecords = 50_000
	restartBatch   = 1000
)

// rsyslogd is killed (SIGKILL) and started again in the middle of batches: every record is in the
// file at least once, and in order but for what is sent again.
func TestRsyslogIsKilled(t *testing.T) {
	for _, c := range []struct{ name, input string }{
		{"plain", ""},
		{"TLS", `tls="on" tls.authMode="certvalid" tls.caCert="%s" tls.myCert="%s" tls.myPrivKey="%s"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheme, input, options := "relp://", c.input, []string{"window", "512"}
			if c.input != "" {
				ca := shiptest.NewCA(t)
				cert, key := ca.Server(t, "127.0.0.1")
				clientCert, clientKey := ca.Client(t, "sender")
				scheme, input = "relp+tls://", fmt.Sprintf(c.input, ca.File, cert, key)
				options = append(options, "ca", ca.File, "cert", clientCert, "key", clientKey)
			}
			r := newRsyslog(t, input)
			target := open(t, scheme+r.address, options...)
			sent := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failures := 0
			go func() {
				var err error
				failures, err = sendAll(ctx, target)
				sent <- err
			}()
			for i := range restarts {
				r.awaitBytes((i*2 + 1) * restartRecords / (2 * restarts) * len(numbered(0)+shiptest.EndOfRecord))
				r.Kill()
				r.Restart(t)
			}
			if err := await60(t, sent); err != nil {
				t.Fatal(err)
			}
			if failures < restarts {
				t.Errorf("%d failures of Send in %d restarts", failures, restarts)
			}
			resent := checkOrder(t, r.records())
			t.Logf("%d failures of Send, %d records sent again", failures, resent)
		})
	}
}

func numbered(i int) string { return fmt.Sprintf("<13>Oct 11 22:14:15 host app: record %08d", i) }

// sendAll sends all records as a shipper does, and returns how often Send failed.
func sendAll(ctx context.Context, target *target) (failures int, err error) {
	for next := 0; next < restartRecords; {
		var records []string
		for i := next; i < min(next+restartBatch, restartRecords); i++ {
			records = append(records, numbered(i))
		}
		err := target.Send(ctx, shiptest.Batch(next, records...))
		var e *ship.Error
		switch {
		case ctx.Err() != nil:
			return failures, ctx.Err()
		case err == nil:
			next += len(records)
		case !errors.As(err, &e) || e.Permanent || len(e.Rejected) > 0:
			return failures, err
		default:
			failures++
			next += e.Acknowledged
			time.Sleep(5 * time.Millisecond) // the back-off
		}
	}
	return failures, nil
}

func await60(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(60 * time.Second):
		t.Fatal("not all records are sent after 60 s")
		return nil
	}
}

// awaitBytes waits until the file has so many bytes.
func (r *rsyslog) awaitBytes(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(r.File); err == nil && info.Size() >= int64(n) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the file does not grow to %d bytes\n%s", n, r.Output())
		}
	}
}

// checkOrder checks that records are complete, and that each follows the record before, or one that
// is sent again begins a part that has been there before.
func checkOrder(t *testing.T, records []string) (resent int) {
	t.Helper()
	highest, previous := -1, -1
	for i, r := range records {
		digits := r[strings.LastIndexByte(r, ' ')+1:]
		n, err := strconv.Atoi(digits)
		if err != nil || r != numbered(n) {
			t.Fatalf("record %d in the file: %q", i, r)
		}
		if n != previous+1 && n > highest {
			t.Fatalf("record %d follows record %d: the highest is %d", n, previous, highest)
		}
		if n <= highest {
			resent++
		}
		highest, previous = max(highest, n), n
	}
	if highest != restartRecords-1 {
		t.Fatalf("the last record is %d of %d", highest, restartRecords)
	}
	return resent
}
