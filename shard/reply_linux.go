package shard

import (
	"time"

	"golang.org/x/sys/unix"
)

// replyWait is how long a reply waits for room in a full send buffer, once a call of send. A
// network card that can't send for so long has a larger problem, and the client is about to ask
// again.
const replyWait = 10 * time.Millisecond

// reply sends the replies that the handler has queued. A reply that the kernel refuses is counted,
// and the next replies are sent.
func (s *shard) reply(fd int) {
	for _, r := range s.batch.Replies {
		// No handler should reply in a group that is one-way.
		fromOwnPort := !s.group.config.OwnPort && s.batch.Datagrams[r.Index].Source.Port() == s.group.address.Port()
		if s.sender == nil || fromOwnPort {
			s.counters.ReplyLost.Add(1)
			continue
		}
		for !s.sender.Reply(s.receiver, s.messages[r.Index], r.Payload) {
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
		addTo(&s.counters.Replied, uint64(n))
		switch {
		case err == nil, isInterrupted(err):
		case isEmpty(err) && !waited:
			waited = true
			waitFor(fd, unix.POLLOUT, replyWait)
		case isEmpty(err):
			s.dropReplies(s.sender.Queued())
		default:
			s.dropReplies(1)
		}
	}
}

func (s *shard) dropReplies(n int) {
	s.sender.Skip(n)
	s.counters.ReplyLost.Add(uint64(n))
}
