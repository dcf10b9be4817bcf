package sys

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A Sender answers each message of a batch, once and in order.
func TestSender(t *testing.T) {
	from, to := pair(t)
	const batch = 3
	r, s := NewReceiver(batch, 16, ReceiverOptions{}), NewSender(batch)
	for round := range 2 {
		for i := range batch {
			if _, err := unix.Write(from, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		received := 0
		for received < batch { // a batch may be cut: MSG_WAITFORONE
			n, err := r.Receive(to, 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if !s.Reply(r, i, append([]byte("re "), r.Payload(i)...)) {
					t.Fatal("the batch is full too early")
				}
			}
			received += n
			if sent, err := s.Send(to); sent != n || err != nil || s.Queued() != 0 {
				t.Fatalf("round %d: sent %d of %d, %v, and %d are queued", round, sent, n, err, s.Queued())
			}
		}
		for i := range batch {
			buf := make([]byte, 16)
			if n, err := unix.Read(from, buf); err != nil || string(buf[:n]) != "re "+string(rune(i)) {
				t.Errorf("reply %d: %q, %v", i, buf[:n], err)
			}
		}
	}
}

func TestSenderSkips(t *testing.T) {
	from, to := pair(t)
	if _, err := unix.Write(from, []byte("x")); err != nil {
		t.Fatal(err)
	}
	r, s := NewReceiver(1, 16, ReceiverOptions{}), NewSender(2)
	if n, err := r.Receive(to, 0); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if !s.Reply(r, 0, nil) || !s.Reply(r, 0, []byte("second")) || s.Reply(r, 0, nil) {
		t.Error("room for two replies is expected")
	}
	s.Skip(1)
	if n, err := s.Send(to); n != 1 || err != nil || s.Queued() != 0 {
		t.Errorf("sent %d, %v, and %d are queued", n, err, s.Queued())
	}
	buf := make([]byte, 16)
	if n, err := unix.Read(from, buf); err != nil || string(buf[:n]) != "second" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n, err := NewSender(1).Send(-1); n != 0 || err == nil {
		t.Error(n, err)
	}
}
