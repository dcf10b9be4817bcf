// Package report prints the content of a spool: its series, targets and damage, or the records that
// wait. Package report only reads the spool, so a running instance is not disturbed.
package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/spool"
)

// Report is the output of udpshard spool, as JSON.
type Report struct {
	*spool.View
	Verification *spool.Verification `json:"verification,omitempty"`
}

// Open reads the content of a spool.
func Open(path string) (*Report, error) {
	view, err := spool.OpenView(path)
	switch {
	case errors.As(err, new(spool.NoSpoolError)):
		hint := `serve logs the folder of its spool at the start: "spool opened"`
		if _, below := spool.OpenView(path + "/spool"); below == nil {
			hint = "udpshard spool " + path + "/spool"
		}
		return nil, cli.WithHint(cli.Usage(err), hint)
	case errors.Is(err, fs.ErrPermission):
		hint := fmt.Sprintf("run as root, or as the user of the instance; this is uid %d", os.Geteuid())
		return nil, cli.WithHint(err, hint)
	case err != nil:
		return nil, err
	}
	return &Report{View: view}, nil
}

// Verify reads all segments. Check returns the error if some are damaged.
func (r *Report) Verify() error {
	v, err := r.View.Verify()
	r.Verification = &v
	return err
}

// Check returns an error if Verify has found damage.
func (r *Report) Check() error {
	v := r.Verification
	if v == nil || len(v.Damaged) == 0 {
		return nil
	}
	lost := uint64(0)
	for _, d := range v.Damaged {
		lost += d.Lost
	}
	return fmt.Errorf("spool %s: %s damaged, with %s", r.Path,
		format.Plural(len(v.Damaged), "segment"), format.Plural(int(lost), "unreadable record"))
}

// Print prints the report as text.
func (r *Report) Print(w io.Writer) {
	shipper := "nobody"
	if r.Shipper != nil {
		shipper = process(r.Shipper)
	}
	facts := cli.NewTable("ll")
	facts.Row("spool", r.Path)
	facts.Row("identity", r.ID)
	facts.Row("size", fmt.Sprintf("%s; free on the file system: %s",
		format.Size(uint64(r.SizeBytes)), format.Size(uint64(r.FreeBytes))))
	facts.Row("shipped by", shipper)
	rejected := format.Plural(int(r.RejectedRecords), "record")
	if r.RejectedRecords > 0 {
		rejected += ", in rejected.json"
	}
	facts.Row("rejected", rejected)
	if v := r.Verification; v != nil {
		facts.Row("verified", fmt.Sprintf("%s, %s, %s, %s",
			format.Plural(v.Segments, "segment"), format.Plural(v.Blocks, "block"),
			format.Plural(int(v.Records), "record"), format.Size(uint64(v.Bytes))))
	}
	facts.Print(w, "")
	for _, l := range r.Listeners {
		printListener(w, l)
	}
	if r.Verification != nil {
		printDamage(w, "damaged segments", r.Verification.Damaged)
	}
	printDamage(w, "files set aside because of damage", r.Damaged)
	for i, name := range r.Foreign {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s does not belong to the spool\n", cli.Printable(name))
	}
}

func printListener(w io.Writer, l spool.ListenerView) {
	fmt.Fprintf(w, "\nlistener %s\n", cli.Printable(l.Name))
	series := cli.NewTable("lrrrrl", "series", "segments", "records", "size", "oldest", "written by")
	for _, s := range l.Series {
		series.Row(s.Name, count(s.Segments), count(s.Records), format.Size(uint64(s.Bytes)),
			moment(s.Oldest), process(s.Writer))
	}
	printRows(w, series, "no records")
	targets := cli.NewTable("lrrrrrrrl", "target", "acknowledged", "waiting", "size", "oldest waiting", "rejected", "expired",
		"resent", "being sent")
	positions := cli.NewTable("lrrrrl", "target", "series", "next record", "segment", "offset in bytes", "waiting")
	for _, t := range l.Targets {
		sending := "-"
		if b := t.Sending; b != nil {
			sending = fmt.Sprintf("%s from %s of %s", format.Plural(b.Count, "record"),
				count(b.First), b.Series)
		}
		targets.Row(name(t), count(t.Acknowledged), count(t.Waiting),
			format.Size(uint64(t.WaitingBytes)),
			moment(t.OldestWaiting), count(t.Rejected), count(t.Expired), count(t.Resent), sending)
		for _, p := range t.Positions {
			positions.Row(name(t), p.Series, count(p.Next), count(p.Segment),
				count(uint64(p.Offset)), count(p.Waiting))
		}
	}
	fmt.Fprintln(w)
	printRows(w, targets, "no targets")
	if positions.Rows() > 1 {
		fmt.Fprintln(w)
		printRows(w, positions, "")
	}
}

// printRows prints a table with a heading, or a text if the table has no other rows.
func printRows(w io.Writer, table *cli.Table, empty string) {
	if table.Rows() < 2 {
		fmt.Fprintf(w, "  %s\n", empty)
		return
	}
	table.Print(w, "  ")
}

func printDamage(w io.Writer, title string, files []spool.DamagedFile) {
	if len(files) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	damage := cli.NewTable("lrrrrl", "file", "size", "whole blocks", "records", "unreadable", "damage")
	for _, f := range files {
		blocks := fmt.Sprintf("%d of %d", f.WholeBlocks, f.Blocks)
		damage.Row(f.File, format.Size(uint64(f.Bytes)), blocks, count(f.Records), count(f.Lost),
			parts(f.Damage))
	}
	printRows(w, damage, "")
}

// parts describes the first damaged part of a file, and says how many follow.
func parts(damage []spool.Damage) string {
	if len(damage) == 0 {
		return "-"
	}
	d := damage[0]
	text := fmt.Sprintf("%s: bytes %d to %d", d.Reason, d.Start, d.End)
	if more := len(damage) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func name(t spool.TargetView) string {
	if t.Target == "" {
		return "(damaged)"
	}
	return t.Target
}

func count[N int | uint64](n N) string { return format.Count(uint64(n)) }

func moment(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func process(p *spool.Process) string {
	switch {
	case p == nil:
		return "-"
	case p.PID == 0:
		return "unknown pid"
	}
	return "pid " + strconv.Itoa(p.PID)
}
