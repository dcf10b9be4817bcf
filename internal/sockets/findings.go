package sockets

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/format"
)

// finding describes sockets that lose datagrams.
type finding struct {
	Finding string `json:"finding"`
	Remedy  string `json:"remedy"`
}

// findings reports the members of a group that are not read, and those that dropped datagrams
// during the watch, by process.
func findings(group string, members []socketReport, watched time.Duration) (found []finding) {
	type subject struct {
		who    string
		unread bool
	}
	var order []subject
	sockets := make(map[subject][]socketReport)
	for _, s := range members {
		if !s.Unread && s.dropped == 0 {
			continue
		}
		a := subject{s.who(), s.Unread}
		if sockets[a] == nil {
			order = append(order, a)
		}
		sockets[a] = append(sockets[a], s)
	}
	within := watched.Round(time.Millisecond)
	for _, a := range order {
		which := group
		if len(members) > 1 {
			which = memberNumbers(sockets[a]) + " of " + group
		}
		dropped, queued := 0, uint64(0)
		for _, s := range sockets[a] {
			dropped += int(s.dropped)
			queued += uint64(s.QueueBytes)
		}
		if !a.unread {
			found = append(found, finding{
				fmt.Sprintf("%s lost %s in %s at %s: the receive buffer was full", a.who, format.Plural(dropped, "datagram"), within, which),
				"the process reads too slowly, or pauses for too long: use more sockets and threads, or a larger receive buffer (SO_RCVBUF, sysctl net.core.rmem_max)",
			})
			continue
		}
		datagrams, or := "the datagrams of a share of the senders", ", or stop the process, so that its senders go to other members"
		if len(sockets[a]) == len(members) {
			datagrams, or = "all datagrams", ""
		}
		fate := " wait, and are lost once the queue is full"
		if dropped > 0 {
			fate = fmt.Sprintf(" are lost (%s in %s)", format.Plural(dropped, "datagram"), within)
		}
		found = append(found, finding{
			fmt.Sprintf("%s seems not to read %s: %s%s", a.who, which, datagrams, fate),
			"find out why the process hangs, or restart the process" + or + "; the " + format.Size(queued) + " in the queue are lost with the socket",
		})
	}
	return found
}

// who names the processes that hold a socket, as the subject of a sentence.
func (s socketReport) who() string {
	if len(s.Processes) == 0 {
		return fmt.Sprintf("a process of uid %d", s.UID)
	}
	names := make([]string, len(s.Processes))
	for i, p := range s.Processes {
		names[i] = p.String()
	}
	if len(names) == 1 {
		return names[0]
	}
	return names[0] + ", with " + joinWords(names[1:]) + ","
}

// memberNumbers writes members as "member 3", or "members 0, 2-5".
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
	if len(members) == 1 {
		return "member " + parts[0]
	}
	return "members " + strings.Join(parts, ", ")
}
