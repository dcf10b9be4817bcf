package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// runProgram runs the program in a folder, and returns its exit code and output.
func runProgram(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path := builtProgram(t)
	var out, errs strings.Builder
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	asNobody(cmd)
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// errorLines returns the error lines of a standard error, sorted, without log lines.
func errorLines(stderr string) (errs []string) {
	for line := range strings.Lines(stderr) {
		if text, ok := strings.CutPrefix(line, "udpshard: error: "); ok {
			errs = append(errs, strings.TrimSuffix(text, "\n"))
		}
	}
	slices.Sort(errs)
	return errs
}

// folderState returns the path, mode, size and time of change of each file below a folder.
func folderState(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			list = append(list, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// portOfOtherProgram starts a program with another name, and returns its UDP address and pid:
// doctor recognizes an instance of udpshard by the name of the executable.
func portOfOtherProgram(t *testing.T) (address string, pid int) {
	t.Helper()
	path := builtProgram(t)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(publicDir(t), "other")
	if err := os.WriteFile(copied, image, 0o755); err != nil {
		t.Fatal(err)
	}
	address = freePort(t)
	p := launch(t, func(cmd *exec.Cmd) {
		cmd.Path = copied
		asNobody(cmd)
	}, "serve", "--http", "", "--listen", address, "--shards", "1", "--output", "discard", "--log-format", "json")
	p.waitForLog(`"message":"listening"`)
	return address, p.pid()
}

// unusableConfigs prepares a folder, and returns configuration files that serve can't start with,
// each with the expected parts of the errors ("a|b": one of two).
func unusableConfigs(t *testing.T, dir string) map[string][]string {
	t.Helper()
	writeFile(t, filepath.Join(dir, "bad.zone"), "example. 3600 SOA ns1.other. host.other. 1 7200 3600 86400 300\nexample. 3600 A 192.0.2.256\n")
	for _, name := range []string{"folder", "closed"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "readonly"), "")
	if err := errors.Join(os.Chmod(filepath.Join(dir, "closed"), 0o555), os.Chmod(filepath.Join(dir, "readonly"), 0o444)); err != nil {
		t.Fatal(err)
	}
	held, holder := portOfOtherProgram(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	free := freePort(t)
	withOption := func(rest string) string {
		return "http:\nlisteners:\n  - {address: '" + free + "', shards: 1, output: discard, " + rest + "}\n"
	}
	return map[string][]string{
		withOption("batch: 2000"):                                        {"listeners[0].batch: 2000 is not in"},
		withOption("bach: 3"):                                            {"listeners[0].bach: unknown key"},
		withOption("protocol: dns, zone: none.zone"):                     {"listeners[0].zone: open none.zone: no such file"},
		withOption("protocol: dns, zone: [none.zone, bad.zone, folder]"): {"open none.zone: no such file", "bad.zone:2:", "folder"},
		"http:\nlisteners: [{address: '" + free + "', shards: 2, output: 'file:none/x-{shard}'}]\n":                       {"set-up.yaml:2:61: listeners[0].output: output file:none/x-{shard}: no such file"},
		"http:\nlisteners: [{address: '" + free + "', output: 'file:folder'}]\n":                                          {"file:folder: is a directory"},
		"http:\nlisteners: [{address: '" + free + "', output: 'file:closed/x'}]\n":                                        {"file:closed/x: permission denied"},
		"http:\nlisteners: [{address: '" + free + "', output: 'file:readonly'}]\n":                                        {"file:readonly: permission denied"},
		"http:\nlisteners: [{address: '" + free + "', output: 'file:readonly/x'}]\n":                                      {"file:readonly/x: not a directory"},
		"http:\nlisteners: [{address: 'nowhere.invalid:5514', output: discard}]\n":                                        {":2:23: listeners[0].address: \"nowhere.invalid:5514\": "},
		"http:\nlisteners: [{address: '192.0.2.77:5514', output: discard}]\n":                                             {"192.0.2.77:5514"},
		"http:\nlisteners: [{address: '127.0.0.1:1', output: discard}]\n":                                                 {"port 1|127.0.0.1:1: bind: permission denied"},
		fmt.Sprintf("http:\nlisteners: [{address: '%s', output: discard}]\n", held):                                       {fmt.Sprintf("pid %d", holder)},
		fmt.Sprintf("http: '%s'\nlisteners: [{address: '%s', output: discard}]\n", tcp.Addr(), free):                      {fmt.Sprintf("http: listen tcp %s: bind: address already in use", tcp.Addr())},
		fmt.Sprintf("http: 192.0.2.77:9514\nlisteners: [{address: '%s', output: discard}]\n", free):                       {"http: listen tcp 192.0.2.77:9514: bind: cannot assign"},
		fmt.Sprintf("http:\nlisteners: [{address: '%s', protocol: dns, output: discard}]\n", tcp.Addr()):                  {"answers that do not fit into a datagram need TCP"},
		fmt.Sprintf("http:\ntakeover: none/takeover.sock\nlisteners: [{address: '%s', output: discard}]\n", free):         {"takeover: open "},
		fmt.Sprintf("http:\ntakeover: closed/takeover.sock\nlisteners: [{address: '%s', output: discard}]\n", free):       {"permission denied"},
		fmt.Sprintf("http:\ntakeover: '@none'\nlisteners: [{address: '%s', output: discard}]\n", free):                    {":2:11: takeover: \"@none\" is an abstract name"},
		fmt.Sprintf("http:\ntakeover: folder\nlisteners: [{address: '%s', output: discard}]\n", free):                     {":2:11: takeover: ", "folder is no socket"},
		fmt.Sprintf("http:\nstandby: true\nlisteners: [{address: '%s', output: discard}]\n", free):                        {":2:10: standby: a standby needs a takeover path"},
		fmt.Sprintf("http:\nlisteners: [{address: '%s', output: 'file:none/x', protocol: dns, zone: none.zone}]\n", held): {"file:none/x: no such file", "open none.zone: no such file", fmt.Sprintf("pid %d", holder)},
	}
}

// serve, serve --check and doctor report the same errors for each unusable configuration, and
// --check and doctor change no file.
func TestCheckAgreesWithServe(t *testing.T) {
	dir := publicDir(t)
	for text, wants := range unusableConfigs(t, dir) {
		name := strings.TrimSpace(strings.ReplaceAll(text, "\n", " "))
		writeFile(t, filepath.Join(dir, "set-up.yaml"), text)
		if err := os.Chmod(filepath.Join(dir, "set-up.yaml"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := folderState(t, dir)
		checkCode, checkOut, checkErr := runProgram(t, dir, "serve", "--check", "--config", "set-up.yaml")
		doctorCode, found, _ := runProgram(t, dir, "doctor", "--interval", "0", "--config", "set-up.yaml")
		if after := folderState(t, dir); !slices.Equal(before, after) {
			t.Errorf("%s: --check or doctor changed files from\n%q to\n%q", name, before, after)
		}
		serveCode, _, serveErr := runProgram(t, dir, "serve", "--config", "set-up.yaml")
		if checkCode != serveCode || checkCode == 0 || checkOut != "" {
			t.Errorf("%s: got exit code %d of --check and %d of serve, standard output %q", name, checkCode, serveCode, checkOut)
		}
		checked, served := errorLines(checkErr), errorLines(serveErr)
		if !slices.Equal(checked, served) && !strings.Contains(name, "closed/takeover.sock") { // serve names a temporary file
			t.Errorf("%s: errors of --check\n%q differ from errors of serve\n%q", name, checked, served)
		}
		fails := 0
		for line := range strings.Lines(found) {
			if strings.HasPrefix(line, "fail ") {
				fails++
			}
		}
		if doctorCode != cli.ExitFailed || fails < len(checked) {
			t.Errorf("%s: got exit code %d of doctor and %d failed checks, want %d:\n%s", name, doctorCode, fails, len(checked), found)
		}
		for _, want := range wants {
			contains := func(text string) bool {
				return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(text, w) })
			}
			if !contains(strings.Join(checked, "\n")) || !contains(found) {
				t.Errorf("%s: %q is missing in --check\n%q or doctor\n%s", name, want, checked, found)
			}
		}
	}
}

// Beside an instance, --check says that serve would take over from this instance; with another
// takeover path, --check says that the port is in use. The instance does not change.
func TestCheckBesideInstance(t *testing.T) {
	dir := publicDir(t)
	address, web := freePort(t), freePort(t)
	records, socket := filepath.Join(dir, "records.json"), filepath.Join(dir, "takeover.sock")
	args := []string{"serve", "--http", web, "--listen", address, "--shards", "2", "--output", "file:" + records, "--takeover", socket}
	p := launch(t, asNobody, append(slices.Clone(args), "--log-format", "json")...)
	p.http = web
	eventually(t, "the instance is active", func() bool { status, err := statusAt(web); return err == nil && status.Role == "active" })
	p.waitForLog(`"message":"listening"`)
	newSenders(t, address, 4).send(100, 0)
	p.waitForDelivered(100)
	before, logged := folderState(t, dir), p.logs.String()

	for _, standby := range []bool{false, true} {
		more, want := args, fmt.Sprintf("would take over from pid %d, with 2 shards of 1 listener\n", p.pid())
		if standby {
			more, want = append(slices.Clone(args), "--standby"), fmt.Sprintf("would stand by for pid %d,", p.pid())
		}
		code, out, stderr := runProgram(t, dir, append(slices.Clone(more), "--check")...)
		if code != 0 || !strings.HasPrefix(out, "ok: ") || !strings.Contains(out, want) || stderr != "" || strings.Count(out, "\n") != 1 {
			t.Errorf("got exit code %d, standard output %q, standard error %q, want %q", code, out, stderr, want)
		}
	}
	code, _, stderr := runProgram(t, dir, "serve", "--check", "--http", web, "--listen", address, "--output", "discard")
	if code != cli.ExitFailed || !strings.Contains(stderr, fmt.Sprintf("held by pid %d (udpshard)", p.pid())) || !strings.Contains(stderr, "http: ") {
		t.Errorf("without the takeover path: got exit code %d, want 1 with pid and http: %s", code, stderr)
	}
	if code, out, stderr := runProgram(t, dir, "serve", "--check", "--http", "", "--listen", address, "--output", "discard", "--join"); code != 0 {
		t.Errorf("with --join: got exit code %d, want 0: %s%s", code, out, stderr)
	}
	newSenders(t, address, 4).send(100, 0)
	p.waitForDelivered(200)
	if held, err := socketsOf(p.pid(), "udp"); err != nil || len(held) != 2 {
		t.Errorf("got the sockets %q (%v), want 2", held, err)
	}
	if after := folderState(t, dir); len(after) != len(before) || p.logs.String() != logged {
		t.Errorf("the instance changed files from\n%q to\n%q, and logged %s", before, after, strings.TrimPrefix(p.logs.String(), logged))
	}
}

// An IPv6-only TCP socket has a port: --check accepts the same port for an IPv4 HTTP address, and
// refuses the port for IPv6 addresses.
func TestCheckPortsByAddressFamily(t *testing.T) {
	listener, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		t.Skipf("needs IPv6: %v", err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	for at, want := range map[string]int{"127.0.0.1": cli.ExitDone, "[::1]": cli.ExitFailed, "": cli.ExitFailed} {
		code, out, stderr := runProgram(t, ".", "serve", "--check", "--listen", freePort(t), "--shards", "1",
			"--output", "discard", "--http", fmt.Sprintf("%s:%d", at, port))
		taken := strings.Contains(stderr, "bind: address already in use")
		if code != want || taken != (want == cli.ExitFailed) {
			t.Errorf("HTTP at %q: got exit code %d, want %d: %s%s", at, code, want, out, stderr)
		}
	}
}
