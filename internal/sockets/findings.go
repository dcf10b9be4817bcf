package sockets

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/format"
)

// finding is a sentence on sockets that lose datagrams, and its remedy.
type finding struct {
	Finding string `json:"finding"`
	Remedy  string `json:"remedy"`
}

// findings says which sockets of a group nobody reads and which drop, each
// process once. seconds is how long they were watched.
func findings(group string, members []socketReport, seconds float64) []finding {
	type about struct {
		who    string
		unread bool
	}
	var order []about
	sockets := make(map[about][]socketReport)
	for _, s := range members {
		if !s.Unread && s.dropped == 0 {
			continue
		}
		a := about{s.who(), s.Unread}
		if sockets[a] == nil {
			order = append(order, a)
		}
		sockets[a] = append(sockets[a], s)
	}
	var found []finding
	for _, a := range order {
		which := group
		if len(members) > 1 {
			which = memberNumbers(sockets[a]) + " of " + group
		}
		dropped, queued := uint64(0), uint64(0)
		for _, s := range sockets[a] {
			dropped += uint64(s.dropped)
			queued += uint64(s.QueueBytes)
		}
		within := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
		if !a.unread {
			found = append(found, finding{
				fmt.Sprintf("%s lost %s in %s at %s: its buffer was full", a.who, format.Plural(int(dropped), "datagram"), within, which),
				"its reader is too slow for what comes, or pauses for longer than the buffer lasts: more sockets and threads to read them, or a larger buffer (SO_RCVBUF, sysctl net.core.rmem_max)",
			})
			continue
		}
		what, others := "its share of senders", ", or stop it to leave its senders to others"
		if len(sockets[a]) == len(members) {
			what, others = "all that is sent there", ""
		}
		lost := " waits, and is lost once the queue is full"
		if dropped > 0 {
			lost = fmt.Sprintf(" is lost (%s in %s)", format.Plural(int(dropped), "datagram"), within)
		}
		found = append(found, finding{
			fmt.Sprintf("%s seems not to read %s: %s%s", a.who, which, what, lost),
			"see why it hangs, or restart it" + others + "; the " + format.Size(queued) + " that wait are lost with the socket",
		})
	}
	return found
}

// who names the processes that hold a socket, as one subject.
func (s socketReport) who() string {
	if len(s.Processes) == 0 {
		return fmt.Sprintf("somebody (a socket of uid %d)", s.UID)
	}
	names := make([]string, len(s.Processes))
	for i, p := range s.Processes {
		names[i] = p.String()
	}
	if len(names) == 1 {
		return names[0]
	}
	return names[0] + ", with " + plainList(names[1:]) + ","
}

// memberNumbers writes members as 3, or 0, 2-5.
func memberNumbers(members []socketReport) string {
	var parts []string
	for i := 0; i < len(members); {
		end := i
		for end+1 < len(members) && *members[end+1].Member == *members[end].Member+1 {
			end++
		}
		part := strconv.Itoa(*members[i].Member)
		if end > i {
			part += "-" + strconv.Itoa(*members[end].Member)
		}
		parts = append(parts, part)
		i = end + 1
	}
	word := "member "
	if len(members) > 1 {
		word = "members "
	}
	return word + strings.Join(parts, ", ")
}
