package shard

import (
	"time"

	"golang.org/x/sys/unix"
)

// replyWait is how long a full send buffer is waited for, once a call: a
// network card that can't send for so long has other troubles, and whoever
// asked is about to ask again.
const replyWait = 10 * time.Millisecond

// reply sends what the handler queued. An answer that the kernel refuses is
// passed over and counted; those behind it still go.
func (s *shard) reply(fd int) {
	for _, r := range s.batch.Replies {
		// No handler should reply in a group that is one-way.
		own := !s.group.config.OwnPort && s.batch.Datagrams[r.Index].Source.Port() == s.group.address.Port()
		if s.sender == nil || own {
			s.page.ReplyLost.Add(1)
			continue
		}
		for !s.sender.Reply(s.receiver, s.places[r.Index], r.Payload) {
			s.send(fd)
		}
	}
	if s.sender != nil {
		s.send(fd)
	}
}

func (s *shard) send(fd int) {
	waited := false
	for s.sender.Queued() > 0 {
		n, err := s.sender.Send(fd)
		add(&s.page.Replied, uint64(n))
		switch {
		case err == nil, interrupted(err):
		case empty(err) && !waited:
			waited = true
			waitFor(fd, unix.POLLOUT, replyWait)
		case empty(err):
			s.lose(s.sender.Queued())
		default:
			s.lose(1)
		}
	}
}

func (s *shard) lose(replies int) {
	s.sender.Skip(replies)
	s.page.ReplyLost.Add(uint64(replies))
}

// waitFor waits until the socket is readable or writable, and says whether
// it was: not within timeout, or before a signal came.
func waitFor(fd int, event int16, timeout time.Duration) bool {
	poll := [1]unix.PollFd{{Fd: int32(fd), Events: event}}
	n, _ := unix.Poll(poll[:], int(timeout.Milliseconds())) // an error of the socket is the next call's to tell
	return n > 0
}
