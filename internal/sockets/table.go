package sockets

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
)

// Print prints the report as text.
func (r Report) Print(w io.Writer) {
	for i, g := range r.Groups {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s %s\n", g.name, g.Role)
		if g.severalUsers {
			fmt.Fprintln(w, "these sockets belong to several users: no SO_REUSEPORT group; with SO_REUSEADDR, the socket bound last receives everything")
		}
		printSockets(w, []string{"member"}, g.Sockets, r.Looks, func(s socketReport) []string { return []string{strconv.Itoa(*s.Member)} })
	}
	if len(r.Connected) > 0 {
		if len(r.Groups) > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, "connected sockets receive what their peer sends, before all groups")
		printSockets(w, []string{"local", "peer"}, r.Connected, r.Looks, func(s socketReport) []string { return []string{s.Local, s.Peer} })
	}
	if len(r.Findings) > 0 || r.Unseen != "" {
		fmt.Fprintln(w)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\n  remedy: %s\n", cli.Printable(f.Finding), cli.Printable(f.Remedy))
	}
	if r.Unseen != "" {
		fmt.Fprintf(w, "pid -: %s\n", r.Unseen)
	}
}

// printSockets prints a table. first returns the first columns, and head is their heading.
func printSockets(w io.Writer, head []string, sockets []socketReport, looks int, first func(socketReport) []string) {
	heading := append(head, "pid", "command", "uid", "queue", "buffer", "full", "drops", "drops/s", "cookie", "")
	table := cli.NewTable(strings.Repeat("r", len(heading)-1)+"l", heading...)
	for _, s := range sockets {
		pids, commands := []string{}, []string{}
		for _, p := range s.Processes {
			pids = append(pids, strconv.Itoa(p.PID))
			commands = append(commands, p.Name())
		}
		if len(pids) == 0 {
			pids, commands = []string{"-"}, []string{"-"}
		}
		rate := format.Count(uint64(s.DropsPerSecond + 0.5))
		if looks < 2 {
			rate = "-"
		}
		full := 100 * float64(s.QueueBytes) / max(float64(s.BufferBytes), 1)
		table.Row(append(first(s), joinWords(pids), joinWords(slices.Compact(commands)), fmt.Sprint(s.UID),
			format.Size(uint64(s.QueueBytes)), format.Size(uint64(s.BufferBytes)), fmt.Sprintf("%.0f%%", full),
			format.Count(uint64(s.Drops)), rate, fmt.Sprintf("%#x", s.Cookie), s.note())...)
	}
	table.Print(w, "  ")
}

// note marks a socket that loses datagrams, in the last column.
func (s socketReport) note() string {
	switch {
	case s.Unread:
		return "not read"
	case s.dropped > 0:
		return "dropping"
	}
	return ""
}
