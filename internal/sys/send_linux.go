package sys

import "golang.org/x/sys/unix"

// Sender sends batches of answers on a UDP socket with sendmmsg(2).
type Sender struct {
	hdrs    []mmsghdr
	iovs    []unix.Iovec
	control []byte
	queued  int
	sent    int // of the queued, or refused
}

// NewSender lays out headers for batch answers.
func NewSender(batch int) *Sender {
	s := &Sender{
		hdrs:    make([]mmsghdr, batch),
		iovs:    make([]unix.Iovec, batch),
		control: make([]byte, batch*destinationSpace),
	}
	for i := range s.hdrs {
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
	}
	return s
}

// Reply queues payload as the answer to message i of r's last batch, from the
// address that was asked. It reports false if the batch is full: Send first.
// Neither payload nor the name is copied: both must stay until Send is done.
func (s *Sender) Reply(r *Receiver, i int, payload []byte) bool {
	if s.queued == len(s.hdrs) {
		return false
	}
	at := s.queued
	s.queued++
	iov := &s.iovs[at]
	iov.Base = nil
	if len(payload) > 0 {
		iov.Base = &payload[0]
	}
	iov.SetLen(len(payload))
	h := &s.hdrs[at].hdr
	h.Name, h.Namelen = &r.evidence.names[i][0], r.hdrs[i].hdr.Namelen
	control := s.control[at*destinationSpace:]
	h.Control = &control[0]
	h.SetControllen(putControl(control, parseControl(r.controlOf(i)).local))
	return true
}

// Queued returns how many answers Send has still to send.
func (s *Sender) Queued() int { return s.queued - s.sent }

// Send sends queued answers without blocking and returns how many went. With
// an error (EAGAIN: the send buffer is full) it was the first one left that
// was not sent; Skip passes over it.
func (s *Sender) Send(fd int) (int, error) {
	n, err := mmsg(unix.SYS_SENDMMSG, fd, s.hdrs[s.sent:s.queued], unix.MSG_DONTWAIT)
	s.sent += n
	s.reset()
	return n, err
}

// Skip gives up the first n answers left.
func (s *Sender) Skip(n int) {
	s.sent += n
	s.reset()
}

func (s *Sender) reset() {
	if s.sent >= s.queued {
		s.sent, s.queued = 0, 0
	}
}
