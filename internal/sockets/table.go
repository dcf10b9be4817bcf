package sockets

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

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
		printSockets(w, "member", g.Sockets, r.Looks, func(s socketReport) string { return strconv.Itoa(*s.Member) })
	}
	if len(r.Connected) > 0 {
		if len(r.Groups) > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, "connected sockets receive what their peer sends, before all groups")
		printSockets(w, "local\tpeer", r.Connected, r.Looks, func(s socketReport) string { return s.Local + "\t" + s.Peer })
	}
	if len(r.Findings) > 0 || r.Unseen != "" {
		fmt.Fprintln(w)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\n  remedy: %s\n", f.Finding, f.Remedy)
	}
	if r.Unseen != "" {
		fmt.Fprintf(w, "pid -: %s\n", r.Unseen)
	}
}

// printSockets prints a table. first returns the first columns, and head is their heading.
func printSockets(w io.Writer, head string, sockets []socketReport, looks int, first func(socketReport) string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, head+"\tpid\tcommand\tuid\tqueue\tbuffer\tfull\tdrops\tdrops/s\tcookie\t")
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
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%.0f%%\t%s\t%s\t%#x\t%s\n", first(s), joinWords(pids), joinWords(slices.Compact(commands)), s.UID,
			format.Size(uint64(s.QueueBytes)), format.Size(uint64(s.BufferBytes)), 100*float64(s.QueueBytes)/max(float64(s.BufferBytes), 1),
			format.Count(uint64(s.Drops)), rate, s.Cookie, s.note())
	}
	table.Flush()
}

// note marks a socket that loses datagrams, in the last column.
func (s socketReport) note() string {
	switch {
	case s.Unread:
		return "  not read"
	case s.dropped > 0:
		return "  dropping"
	}
	return ""
}
