package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/selftest"
)

func TestSelftest(t *testing.T) {
	path := builtProgram(t)
	for _, protocol := range []string{"syslog", "discard", "raw", "echo"} {
		cmd := exec.Command(path, "selftest", "--protocol", protocol, "--duration", "2s", "--flows", "32", "--json")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		var r selftest.Report
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, &stdout)
		}
		if r.Highest <= 0 || r.Limit == "" || r.Verdict == "" || len(r.Trials) < 3 || r.CPUNanos <= 0 || r.SenderNanos <= 0 {
			t.Errorf("%s: got report %s", protocol, &stdout)
		}
		if !strings.HasPrefix(stderr.String(), "trial 1: 20,000/s: ") || strings.Contains(stderr.String(), "\x1b") {
			t.Errorf("%s: got progress %q", protocol, &stderr)
		}
	}
}

func TestSelftestErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--duration 1s":            "--duration: ",
		"--protocol dns":           "--protocol: ",
		"--batch 5000":             "--batch: ",
		"--shards 5000":            "--shards: ",
		"--cpus 8000":              "--cpus: ",
		"--receive-buffer 3GiB":    "--receive-buffer: ",
		"--flows 30000":            "--flows: ",
		"--size 70000":             "--size: ",
		"--gso 300":                "--gso: ",
		"--threads 100000":         "--threads: ",
		"--flows 4 somewhere else": "takes no arguments",
	} {
		code, _, stderr := invoke(append([]string{"selftest"}, strings.Fields(args)...)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: got exit code %d: %s", args, code, stderr)
		}
	}
}
