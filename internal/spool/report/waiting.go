package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/ship/targets"
	"github.com/udpshard/udpshard/internal/spool"
)

// Selection names the listener and the target whose waiting records WriteWaiting writes.
type Selection struct {
	Listener string // "": all listeners
	Target   string // a URL; "": the records for which at least one target waits
}

// maxDamage is how many damaged parts the error of WriteWaiting has: few enough to be read.
const maxDamage = 10

// WriteWaiting writes the waiting records, one a line as they are stored, in the order of shipping.
// All readable records are written before an error for the others.
func (r *Report) WriteWaiting(w io.Writer, of Selection) error {
	listeners, target, err := r.choose(of)
	if err != nil {
		return err
	}
	var damaged []error
	for _, l := range listeners {
		damage, err := r.Waiting(l, target, func(lines []byte) error {
			_, err := w.Write(lines)
			return err
		})
		for _, d := range damage {
			damaged = append(damaged, fmt.Errorf("%s: bytes %d to %d: %s: %s not written", d.File, d.Start,
				d.End, d.Reason, format.Plural(int(d.Records), "record")))
		}
		if err != nil {
			return cli.Join(append(damaged, err)...)
		}
	}
	if more := len(damaged) - maxDamage; more > 0 {
		damaged = append(damaged[:maxDamage], fmt.Errorf("%s more", format.Plural(more, "damaged part")))
	}
	return cli.Join(damaged...)
}

// choose returns the listeners of a selection, and the name of its target.
func (r *Report) choose(of Selection) (chosen []*spool.ListenerView, target string, err error) {
	if of.Target != "" {
		settings, err := targets.Parse(of.Target)
		if err != nil {
			return nil, "", cli.Usage(fmt.Errorf("--to: %w", err))
		}
		target = settings.Name()
	}
	var names, known []string
	for i := range r.Listeners {
		l := &r.Listeners[i]
		names = append(names, l.Name)
		if of.Listener != "" && l.Name != of.Listener {
			continue
		}
		for _, t := range l.Targets {
			known = append(known, t.Target)
		}
		if target == "" || l.HasTarget(target) {
			chosen = append(chosen, l)
		}
	}
	switch {
	case of.Listener != "" && !slices.Contains(names, of.Listener):
		err = unknown("--listener", fmt.Sprintf("the spool has no listener %q", of.Listener), names)
	case target != "" && len(chosen) == 0:
		err = unknown("--to", "the spool has no target "+target, known)
	}
	return chosen, target, err
}

// unknown returns the error of a flag whose value is not in the spool.
func unknown(flag, text string, known []string) error {
	err := cli.Usage(errors.New(flag + ": " + text))
	switch len(known) {
	case 0:
		return err
	case 1:
		return cli.WithHint(err, flag+" '"+known[0]+"'")
	}
	return cli.WithHint(err, flag+" accepts "+strings.Join(known, ", "))
}
