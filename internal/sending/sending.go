// Package sending is the command send: it sends datagrams, finds what became of them, and prints a
// report.
package sending

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/loadgen"
)

// Run is one run of send. The errors name the flags of send.
type Run struct {
	Config    loadgen.Config
	Template  string        // file with the lines to send; "": the lines of Config
	Verify    string        // files of records, or the URL of an instance; "": nothing is verified
	TokenFile string        // for the instance of Verify
	Wait      time.Duration // without a datagram, after which Verify gives up
	JSON      bool          // the report is one JSON object
}

func (r *Run) readTemplate() error {
	if r.Template == "" {
		return nil
	}
	data, err := os.ReadFile(r.Template)
	if err != nil {
		return cli.Usage(fmt.Errorf("--template: %w", err))
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			r.Config.Lines = append(r.Config.Lines, line)
		}
	}
	if len(r.Config.Lines) == 0 {
		return cli.Usage(fmt.Errorf("--template: %s has no lines", r.Template))
	}
	return nil
}

func (r *Run) verifiesURL() bool {
	return strings.HasPrefix(r.Verify, "http://") || strings.HasPrefix(r.Verify, "https://")
}

// Do sends, verifies what arrived, and prints the report. SIGINT and SIGTERM end the sending early.
func (r *Run) Do(stdout io.Writer) error {
	if err := r.readTemplate(); err != nil {
		return err
	}
	to, numbered, err := r.Config.Check()
	if err != nil {
		return Explain(r.Config.To, r.Config.Flows, err)
	}
	ctx, stop := cli.InterruptContext()
	defer stop()

	var receiver *loadgen.Receiver
	var records *loadgen.Records
	switch {
	case r.Verify == "":
	case r.verifiesURL():
		receiver, err = loadgen.NewReceiver(ctx, r.Verify, r.TokenFile, to)
	case !numbered:
		err = cli.Usage(errors.New("--verify: not every line of this template and --size holds run={run} flow={flow} n={seq}"))
	default:
		records, err = loadgen.OpenRecords(r.Verify)
	}
	if err != nil {
		return verifyError(err)
	}
	if records != nil {
		defer records.Close()
	}
	cpuBefore := cpuTime()
	result, err := loadgen.Run(ctx, r.Config)
	if err != nil {
		return Explain(r.Config.To, r.Config.Flows, err)
	}
	report := loadgen.NewSummary(r.Config, result)
	report.CPUSeconds = (cpuTime() - cpuBefore).Seconds()
	settling := context.Background() // also after an interrupt: sent datagrams may still arrive
	switch {
	case receiver != nil:
		var arrival loadgen.Arrival
		if arrival, err = receiver.WaitDelivered(settling, result.Sent, r.Wait); err == nil {
			report.Receiver = &arrival
		}
	case records != nil:
		checker := loadgen.NewChecker(result.Run, result.Flows)
		if err = checker.Follow(settling, records, r.Wait); err == nil {
			found := checker.Report()
			report.Records = &found
		}
	}
	if r.JSON {
		_ = cli.PrintJSON(stdout, report)
	} else {
		report.Print(stdout)
	}
	if err != nil {
		return verifyError(err)
	}
	return report.Verdict()
}

// SpareFiles is more than the descriptors of a sender beside the sockets of the flows: standard
// input, output and error, epoll, files to verify.
const SpareFiles = 32

// Explain returns the error of a run with a number of flows to an address, with the flag of send or a
// hint.
func Explain(to string, flows int, err error) error {
	var wrong *loadgen.ConfigError
	if errors.As(err, &wrong) {
		flag := map[string]string{"Lines": "template", "CPUs": "cpus", "GSO": "gso"}[wrong.Field]
		if flag == "" {
			flag = strings.ToLower(wrong.Field)
		}
		err := wrong.Err
		if wrong.Field == "To" {
			err = cli.Suggest(err, cli.GuessAddress(to, "127.0.0.1", config.DefaultPort))
		}
		return cli.SettingError("--"+flag, err)
	}
	var segment *loadgen.SegmentError
	switch {
	case errors.As(err, &segment):
		return cli.WithHint(fmt.Errorf("--gso: the kernel refuses %w", err), "send without --gso, or with a smaller --size")
	case errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.EINVAL):
		return cli.WithHint(err, "the datagrams are too large for the route: use a smaller --size, or a smaller --gso or none")
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return cli.WithHint(err, "this host has no route to the address: see ip route get")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return cli.WithHint(err, "a firewall of this host rejects the datagrams, or the address is a broadcast address")
	case errors.Is(err, unix.EMFILE):
		return cli.WithHint(err, fmt.Sprintf("each flow needs a descriptor: ulimit -n %d", flows+SpareFiles))
	}
	return err
}

func verifyError(err error) error {
	if cli.IsUsage(err) {
		return err
	}
	return fmt.Errorf("--verify: %w", err)
}

// cpuTime returns the CPU time of this process, user and system.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
