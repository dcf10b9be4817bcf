package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
)

// unitFile is a unit in deploy: the values of each key, by Section.Key.
type unitFile map[string][]string

func readUnit(t *testing.T, name string) unitFile {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	u := make(unitFile)
	for _, o := range options {
		key := o.Section + "." + o.Name
		u[key] = append(u[key], o.Value)
	}
	return u
}

// value returns the value of a key, which must have a single value.
func (u unitFile) value(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("got %[2]d values of %[1]s, want 1", key, len(u[key]))
	}
	return u[key][0]
}

// exitOfPanic is the exit code of a panic and of a fatal error (runtime/panic.go, fatalpanic and
// fatalthrow, Go 1.25: exit(2)).
const exitOfPanic = 2

// restartsAfter reports whether systemd restarts the service after an exit code: see Restart=,
// RestartPreventExitStatus=, RestartForceExitStatus= and SuccessExitStatus= in systemd.service(5).
func (u unitFile) restartsAfter(t *testing.T, code int) bool {
	t.Helper()
	listed := func(key string) bool {
		for _, codes := range u[key] {
			if slices.Contains(strings.Fields(codes), strconv.Itoa(code)) {
				return true
			}
		}
		return false
	}
	if when := u.value(t, "Service.Restart"); when != "on-failure" {
		t.Fatalf("got Restart=%s, want on-failure", when)
	}
	switch {
	case listed("Service.RestartPreventExitStatus"):
		return false
	case listed("Service.RestartForceExitStatus"):
		return true
	}
	return code != 0 && !listed("Service.SuccessExitStatus")
}

// udpshard.service: the command line parses, and paths, timeouts, limits and restart rules fit the
// program.
func TestServiceUnit(t *testing.T) {
	u := readUnit(t, "udpshard.service")
	words := strings.Fields(u.value(t, "Service.ExecStart"))
	if words[0] != "/usr/bin/udpshard" || words[1] != "serve" {
		t.Fatalf("got ExecStart=%q, want /usr/bin/udpshard serve", words)
	}
	root := &cobra.Command{}
	root.AddCommand(serveCommand())
	cmd, args, err := root.Find(words[1:])
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err != nil || cmd.Flags().NArg() > 0 {
		t.Fatal(err, cmd.Flags().Args())
	}
	if file := cmd.Flags().Lookup("config").Value.String(); file != filepath.Join("/etc", u.value(t, "Service.ConfigurationDirectory"), "udpshard.yaml") {
		t.Errorf("got --config %s, want udpshard.yaml in ConfigurationDirectory=", file)
	}

	t.Setenv("RUNTIME_DIRECTORY", "/run/"+u.value(t, "Service.RuntimeDirectory"))
	c, err := (&config.Flags{}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Takeover != "/run/udpshard/takeover.sock" {
		t.Errorf("got takeover path %s, want /run/udpshard/takeover.sock", c.Takeover)
	}
	stop, err := time.ParseDuration(u.value(t, "Service.TimeoutStopSec"))
	if drain := c.DrainTimeout; err != nil || stop <= 2*drain {
		t.Errorf("got TimeoutStopSec=%s, want more than two drain timeouts of %s (%v)", stop, drain, err)
	}
	if watchdog, err := time.ParseDuration(u.value(t, "Service.WatchdogSec")); err != nil || watchdog < 10*time.Second {
		t.Errorf("got WatchdogSec=%s, want at least 10s (%v)", watchdog, err)
	}
	if n, err := strconv.Atoi(u.value(t, "Service.FileDescriptorStoreMax")); err != nil || n < 2*(256+2) {
		t.Errorf("got FileDescriptorStoreMax=%d, want at least 2*(256+2) (%v)", n, err)
	}
	for code, want := range map[int]bool{cli.ExitDone: false, cli.ExitFailed: true, exitOfPanic: true, cli.ExitReplaced: false, cli.ExitUsage: false, cli.ExitConfig: false} {
		if u.restartsAfter(t, code) != want {
			t.Errorf("exit code %d: got restart %t, want %t", code, !want, want)
		}
	}
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"} {
		if has := strings.Fields(u.value(t, "Service.RestrictAddressFamilies")); !slices.Contains(has, family) {
			t.Errorf("RestrictAddressFamilies= has no %s", family)
		}
	}
	for _, key := range []string{"DynamicUser", "ProcSubset", "CPUAffinity", "CPUQuota", "MemoryMax", "PrivateNetwork", "PrivateUsers"} {
		if u["Service."+key] != nil {
			t.Errorf("%s= contradicts the comments of the unit", key)
		}
	}
}

// udpshard.tmpfiles makes the folders that the unit makes, with the same user and modes, and
// udpshard.sysusers makes this user.
func TestFoldersAndUser(t *testing.T) {
	u := readUnit(t, "udpshard.service")
	user := u.value(t, "Service.User")
	folder := func(parent, key string) string {
		return strings.Join([]string{"d", parent + u.value(t, "Service."+key), u.value(t, "Service."+key+"Mode"), user, u.value(t, "Service.Group"), "-"}, " ")
	}
	want := []string{folder("/var/log/", "LogsDirectory"), folder("/var/lib/", "StateDirectory")}
	if got := settings(t, "udpshard.tmpfiles"); !slices.Equal(got, want) {
		t.Errorf("got %q in udpshard.tmpfiles, want %q", got, want)
	}
	if got := settings(t, "udpshard.sysusers"); len(got) != 1 || !strings.HasPrefix(got[0], "u "+user+" - ") {
		t.Errorf("got %q in udpshard.sysusers, want user %s", got, user)
	}
}

// settings returns the lines of a file in deploy, without comments.
func settings(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "#") })
}

// udpshard.logrotate rotates the files of udpshard.yaml as their owner, and docs/operations.md shows
// this file.
func TestLogrotate(t *testing.T) {
	lines := settings(t, "udpshard.logrotate")
	c, err := (&config.Flags{File: filepath.Join("..", "..", "deploy", "udpshard.yaml")}).Config()
	if err != nil {
		t.Fatal(err)
	}
	output := strings.TrimPrefix(c.Listeners[0].Output, "file:")
	if match, err := filepath.Match(strings.TrimSuffix(lines[0], " {"), output); !match || err != nil {
		t.Errorf("%q does not match %s (%v)", lines[0], output, err)
	}
	u := readUnit(t, "udpshard.service")
	if su := "    su " + u.value(t, "Service.User") + " " + u.value(t, "Service.Group"); !slices.Contains(lines, su) {
		t.Errorf("got %q, want %q", lines, su)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if block := "```text\n" + strings.Join(lines, "\n") + "\n```"; !strings.Contains(string(page), block) {
		t.Error("docs/operations.md does not have the settings of deploy/udpshard.logrotate")
	}
}

// deploy/udpshard.yaml is usable, and each output is in LogsDirectory= of the unit.
func TestServiceConfiguration(t *testing.T) {
	f := config.Flags{File: filepath.Join("..", "..", "deploy", "udpshard.yaml")}
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	logs := "file:/var/log/" + readUnit(t, "udpshard.service").value(t, "Service.LogsDirectory") + "/"
	for _, l := range c.Listeners {
		if !strings.HasPrefix(l.Output, logs) {
			t.Errorf("listener %s writes to %s, outside LogsDirectory=", l.Name, l.Output)
		}
	}
}

// udpshard.socket opens several sockets on the port of udpshard.yaml, with ReusePort=.
func TestSocketUnit(t *testing.T) {
	u := readUnit(t, "udpshard.socket")
	lines := u["Socket.ListenDatagram"]
	if len(slices.Compact(slices.Clone(lines))) != 1 || len(lines) < 2 || u.value(t, "Socket.ReusePort") != "yes" {
		t.Errorf("got ListenDatagram=%q, want at least two equal values and ReusePort=yes", lines)
	}
	c, err := (&config.Flags{File: filepath.Join("..", "..", "deploy", "udpshard.yaml")}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Listeners[0].Address != ":"+lines[0] {
		t.Errorf("the unit opens port %s, and the configuration reads %s", lines[0], c.Listeners[0].Address)
	}
}

// systemd-analyze verify accepts the units without a warning.
func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze: apt-get install systemd")
	}
	dir := t.TempDir()
	program, err := os.Executable() // verify needs an existing program
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, name := range []string{"udpshard.service", "udpshard.socket"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		writeFile(t, path, strings.ReplaceAll(string(text), "/usr/bin/udpshard", program))
		args = append(args, path)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// The command of udpshard beside nats-server is one that serve accepts.
func TestComposeWithNATS(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose-nats.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct{ Command []string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	args := append(compose.Services["udpshard"].Command, "--check", "--http", "", "--spool", filepath.Join(publicDir(t), "spool"))
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "${UDPSHARD_LISTEN:-:5514}", freePort(t))
	}
	if code, _, stderr := runProgram(t, publicDir(t), args...); code != 0 || !slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "--to=nats://")
	}) {
		t.Errorf("exit code %d of %q: %s", code, args, stderr)
	}
}
