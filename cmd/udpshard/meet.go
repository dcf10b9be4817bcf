package main

import (
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// others are the standbys of a process that has died, or hangs, which this process has
// taken over from: as long as they have not met it, its counters are all they know of.
type others struct {
	count    int
	counters uint64 // of that process: see memoryOf
}

// past is what a standby tells of itself in its hello.
type past struct {
	metrics.ProcessStatus
	Counters uint64 `json:"counters,omitempty"` // that it has, of who has served before; see memoryOf
}

// memoryOf identifies a book's memory among all that there are, by its inode; 0 is
// none.
func memoryOf(b *metrics.Book) uint64 {
	var stat unix.Stat_t
	if b == nil || unix.Fstat(int(b.File().Fd()), &stat) != nil {
		return 0
	}
	return stat.Ino
}

// others are all that stood by for the process but this one, which is the owner of
// its counters now.
func (l *legacy) others() others {
	left := l.book.Standbys()
	if l.counted {
		l.counted = false
		left--
		l.book.SetStandbys(left)
	}
	return others{left, memoryOf(l.book)}
}

// met counts those of them that stand by here.
func (s *server) met() (n int) {
	for _, hello := range s.takeover.Standbys() {
		var p past
		if json.Unmarshal(hello.Notes, &p) == nil && p.Counters == s.others.counters {
			n++
		}
	}
	return n
}

// meet waits for a little until the others have met this process: what it has read
// when it dies is in its counters, which they would not know of.
func (s *server) meet() {
	if s.takeover == nil || s.others.count <= 0 {
		return
	}
	for began := time.Now(); ; time.Sleep(claimPause) {
		s.expect()
		missing := s.others.count - s.met()
		if missing <= 0 {
			return
		}
		if time.Since(began) > meetPatience {
			s.log.Warn().Int("standbys", missing).Msg("reading, though not every standby has answered: if this process dies before they do, what it has read is in no account")
			return
		}
	}
}

// expect has the standbys expect of every shard that it reads soon.
func (s *server) expect() {
	for _, g := range s.groups {
		for _, page := range g.Listener().Shards {
			page.Beat(time.Now())
		}
	}
}
