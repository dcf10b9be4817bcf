package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// load is the arguments of udpshard send, or of dnsperf.
type load struct {
	rate  int  // datagrams a second; 0 is flat out
	size  int  // bytes each; 0: the lines of lines.txt
	gso   int  // datagrams to a train; 0: no trains
	batch int  // datagrams to a call at most; 0: 16
	count int  // instead of a time
	flows int  // 0: 16
	dns   bool // dnsperf's queries
}

func (d load) String() string {
	text := "flat out"
	if d.rate > 0 {
		text = thousands(d.rate) + "/s"
	}
	if d.gso > 0 {
		text += fmt.Sprintf(" in batches of %d", d.gso)
	}
	return text
}

func (d load) command(l *lab, to string) []string {
	argv := []string{l.has["udpshard"], "send", "--json", "--to", to, "--rate", strconv.Itoa(d.rate),
		"--cpus", strconv.Itoa(l.senderCPU()), "--flows", strconv.Itoa(or(d.flows, 16)), "--batch", strconv.Itoa(or(d.batch, 16))}
	if d.count > 0 {
		argv = append(argv, "--count", strconv.Itoa(d.count))
	} else {
		argv = append(argv, "--duration", fmt.Sprintf("%gs", l.seconds))
	}
	if d.size > 0 {
		argv = append(argv, "--size", strconv.Itoa(d.size))
	} else {
		argv = append(argv, "--template", l.path("lines.txt"))
	}
	if d.gso > 0 {
		argv = append(argv, "--gso", strconv.Itoa(d.gso))
	}
	return argv
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// contender is a receiver.
type contender struct {
	name    string
	cpus    []int
	env     []string
	sockets int
	// command returns the command line at 127.0.0.1 and a port, with a file for a contender that
	// writes records.
	command func(port int, file string) ([]string, error)
	writes  bool // datagrams are counted as lines of the file
	ships   sink // where datagrams are counted; nil: not there

	acknowledged bool // datagrams are counted as acknowledged in the ledger of the target
}

// trial is the result of a contender under a load.
type trial struct {
	sent, received uint64
	dropped        uint64  // by the kernel, at the contender's sockets
	rate           float64 // as sent
	cpu            time.Duration
	late           time.Duration // time of work after the load
}

// perDatagram is in microseconds.
func (t trial) perDatagram() float64 {
	return float64(t.cpu.Microseconds()) / float64(max(t.received, 1))
}

func (t trial) lost() uint64 { return t.sent - min(t.sent, t.received) }

// running is a contender that listens.
type running struct {
	*process
	at   string
	port int
	argv []string
	file string
}

// launch starts a contender, and returns when the contender listens and is quiet.
func (l *lab) launch(ctx context.Context, c contender) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &running{port: port, at: fmt.Sprintf("127.0.0.1:%d", port), file: l.path("records.json")}
	if r.argv, err = c.command(port, r.file); err != nil {
		return nil, err
	}
	if r.process, err = start(c.cpus, c.env, r.argv...); err != nil {
		return nil, err
	}
	if err = r.listening(ctx, port, c.sockets); err == nil {
		if _, err = r.waitQuiet(ctx); err == nil {
			err = r.adopt()
		}
	}
	if err != nil {
		_ = r.kill()
	}
	return r, err
}

// try measures a contender under a load.
func (l *lab) try(ctx context.Context, c contender, d load) (trial, error) {
	shipped, err := c.shipped()
	if err != nil {
		return trial{}, err
	}
	r, err := l.launch(ctx, c)
	if err != nil {
		return trial{}, err
	}
	defer os.Remove(r.file)
	defer r.kill()
	t, err := l.measure(ctx, r, d)
	if err != nil {
		return t, err
	}
	switch {
	case d.dns:
		err = r.stop()
	case c.ships != nil: // what arrives later is lost: its work is not measured
		if t.received, err = c.shipped(); err == nil {
			t.received -= shipped
			err = r.stop()
		}
	default:
		t.received, err = r.counted(c)
	}
	if err != nil {
		return t, err
	}
	if t.received == 0 || t.received > t.sent {
		return t, fmt.Errorf("%s received %d of %d datagrams: %s", c.name, t.received, t.sent, r.said())
	}
	return t, nil
}

// shipped returns the records that have arrived where a contender ships records to.
func (c contender) shipped() (uint64, error) {
	if c.ships == nil {
		return 0, nil
	}
	return c.ships.count()
}

// measure sends a load, and reads the contender's clock before and after.
func (l *lab) measure(ctx context.Context, r *running, d load) (t trial, err error) {
	before, err := r.cpu()
	if err != nil {
		return t, err
	}
	if d.dns {
		t.sent, t.received, t.rate, err = l.query(ctx, r.port, d)
	} else {
		t.sent, t.rate, err = l.send(ctx, r.at, d)
	}
	if err != nil {
		return t, err
	}
	sent := time.Now()
	last, err := r.waitQuiet(ctx)
	if err != nil {
		return t, err
	}
	after, err := r.cpu()
	if err != nil {
		return t, err
	}
	t.cpu, t.late = after-before, max(last.Sub(sent), 0)
	_, t.dropped, err = socketsAt(r.port)
	return t, err
}

// send runs the generator.
func (l *lab) send(ctx context.Context, to string, d load) (sent uint64, rate float64, err error) {
	p, err := start(l.cpus, nil, d.command(l, to)...)
	if err != nil {
		return 0, 0, err
	}
	if err := p.wait(ctx); err != nil {
		return 0, 0, err
	}
	var report struct {
		Sent   uint64
		Rate   float64
		Errors map[string]uint64
	}
	if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil {
		return 0, 0, fmt.Errorf("udpshard send: %w", err)
	}
	if len(report.Errors) > 0 {
		return 0, 0, fmt.Errorf("udpshard send: %v", report.Errors)
	}
	return report.Sent, report.Rate, nil
}

// counted ends the contender, and returns the number of datagrams that the contender received.
func (r *running) counted(c contender) (uint64, error) {
	until, err := r.cpu()
	if err != nil {
		return 0, err
	}
	if err := r.stop(); err != nil {
		return 0, err
	}
	state := r.cmd.ProcessState
	if used := state.UserTime() + state.SystemTime(); used < until-50*time.Millisecond {
		return 0, fmt.Errorf("%s: the CPU clock showed %v, and the process used %v until its end", c.name, until, used)
	}
	if c.writes {
		return countLines(r.file)
	}
	if c.acknowledged {
		return reported(r.stdout.Bytes(), r.stderr.Bytes(), "final ledger of a target")
	}
	return reported(r.stdout.Bytes(), r.stderr.Bytes(), "final ledger")
}

// reported returns the sum of a final ledger of udpshard, or the output of another receiver.
func reported(stdout, stderr []byte, ledger string) (total uint64, err error) {
	found := false
	for _, text := range [][]byte{stdout, stderr} {
		for line := range bytes.Lines(text) {
			var said struct {
				Message      string
				Received     *uint64
				Acknowledged *uint64
			}
			if json.Unmarshal(line, &said) != nil || said.Message != "" && said.Message != ledger {
				continue
			}
			n := said.Received
			if said.Acknowledged != nil {
				n = said.Acknowledged
			}
			if n == nil {
				continue
			}
			total += *n
			found = true
		}
	}
	if !found {
		return 0, fmt.Errorf("no count in %q", stderr)
	}
	return total, nil
}

func countLines(name string) (n uint64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for {
		k, err := f.Read(buf)
		n += uint64(bytes.Count(buf[:k], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
