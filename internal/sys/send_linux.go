package sys

import "golang.org/x/sys/unix"

// Sender sends batches of answers on a UDP socket with sendmmsg(2).
type Sender struct {
	hdrs    []mmsghdr
	iovs    []unix.Iovec
	control []byte
	queued  int
	sent    int // of queued, or skipped
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

// Reply queues payload as the answer to message i of r's last batch, from the address that was
// asked. False: the batch is full, and the caller must Send first. Neither payload nor the name is
// copied: both must stay unchanged until Send.
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

// Queued returns how many answers are queued for Send.
func (s *Sender) Queued() int { return s.queued - s.sent }

// Send sends queued answers without blocking, and returns the number of sent answers. An error
// (EAGAIN: the send buffer is full) is of the first answer that is still queued. Skip drops that
// answer.
func (s *Sender) Send(fd int) (int, error) {
	n, err := mmsg(unix.SYS_SENDMMSG, fd, s.hdrs[s.sent:s.queued], unix.MSG_DONTWAIT)
	s.sent += n
	s.reset()
	return n, err
}

// Skip drops the first n queued answers.
func (s *Sender) Skip(n int) {
	s.sent += n
	s.reset()
}

func (s *Sender) reset() {
	if s.sent >= s.queued {
		s.sent, s.queued = 0, 0
	}
}
