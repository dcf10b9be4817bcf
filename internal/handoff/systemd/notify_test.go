package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/leak"
)

func TestMessages(t *testing.T) {
	for _, at := range []string{t.TempDir() + "/notify", "@udpshard-test-" + strings.ReplaceAll(t.TempDir(), "/", "-")} {
		t.Run(at[:1], func(t *testing.T) {
			leak.Descriptors(t)
			m := systemdtest.New(t, at)
			u := startedBy(m)
			err := errors.Join(u.Ready("serves"), u.Ready(""), u.Reloading(), u.Alive(), u.MainPID(4711), u.Stopping("drains"), u.Barrier(testContext(t)))
			if err != nil {
				t.Fatal(err)
			}
			said := texts(m.Messages())
			if !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`).MatchString(said[2]) {
				t.Errorf("%q", said[2])
			}
			said[2] = ""
			want := []string{"READY=1\nSTATUS=serves", "READY=1", "", "WATCHDOG=1", "MAINPID=4711", "STOPPING=1\nSTATUS=drains", "BARRIER=1"}
			if !slices.Equal(said, want) {
				t.Errorf("%q", said)
			}
			for _, s := range m.Messages() {
				if s.PID != os.Getpid() {
					t.Errorf("pid %d", s.PID)
				}
			}
		})
	}
}

func TestStatusIsOneLineOfUTF8(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"reads":                         "STATUS=reads",
		"a\nREADY=1\x00b":               "STATUS=a READY=1 b",
		"caf\xe9":                       "STATUS=caf\uFFFD",
		strings.Repeat("ä", 2000):       "STATUS=" + strings.Repeat("ä", maxStatus/2),
		"x" + strings.Repeat("ä", 2000): "STATUS=x" + strings.Repeat("ä", maxStatus/2-1),
	} {
		if got := statusLine(text); got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q: %.40q", text, got)
		}
	}
}

// Without a manager, the methods of Unit do nothing.
func TestWithoutManager(t *testing.T) {
	leak.Descriptors(t)
	opened, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []*Unit{nil, {}, opened} {
		set := handoff.State{Memory: handoff.Memory{Counters: memory(t, ""), Control: memory(t, "")}, Listeners: []handoff.Listener{{Sockets: udpSockets(t, 1)}}}
		if err := errors.Join(u.Ready("x"), u.Reloading(), u.Stopping("x"), u.MainPID(1), u.Alive(),
			u.storeFiles(testContext(t), "x", set.Memory.Counters), u.removeFiles(testContext(t), "x"), u.Barrier(testContext(t)), u.StoreAndWait(testContext(t), set)); err != nil {
			t.Error(err)
		}
		if interval, on := u.Watchdog(); on || interval != 0 {
			t.Error(interval, on)
		}
		if p := u.Passed(); p != nil {
			t.Error(p)
		}
	}
}

func TestManagerHasEnded(t *testing.T) {
	leak.Descriptors(t)
	u := &Unit{socket: t.TempDir() + "/none"}
	for _, err := range []error{u.Ready(""), u.Barrier(testContext(t))} {
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "to the service manager") {
			t.Error(err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		env      map[string]string
		words    string // of the error; empty: no error
		watchdog time.Duration
	}{
		"all":             {map[string]string{"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "5000000", "FDSTORE": "9", "LISTEN_PIDFDID": "1"}, "", 5 * time.Second},
		"others' fds":     {map[string]string{"NOTIFY_SOCKET": "/x", "LISTEN_PID": "1", "LISTEN_FDS": "3"}, "", 0},
		"others' dog":     {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_PID": "1", "WATCHDOG_USEC": "5000000"}, "", 0},
		"dog of nobody":   {map[string]string{"WATCHDOG_USEC": "5000000"}, "", 0},
		"vsock":           {map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}, "NOTIFY_SOCKET=vsock:2:1 is neither a path nor", 0},
		"no interval":     {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5s"}, "WATCHDOG_USEC", 0},
		"no store":        {map[string]string{"NOTIFY_SOCKET": "/x", "FDSTORE": "many"}, "FDSTORE=many", 0},
		"no number":       {map[string]string{"LISTEN_PID": "self", "LISTEN_FDS": "-1"}, "LISTEN_FDS=-1 is no number", 0},
		"not that many":   {map[string]string{"LISTEN_PID": "self", "LISTEN_FDS": "1000000"}, "LISTEN_FDS=1000000, but descriptor", 0},
		"dog beside them": {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "LISTEN_PID": "self", "LISTEN_FDS": "x"}, "LISTEN_FDS=x", time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			for key, value := range c.env {
				if value == "self" {
					value = strconv.Itoa(os.Getpid())
				}
				t.Setenv(key, value)
			}
			u, err := Open()
			if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("%v, want %q", err, c.words)
			}
			interval, on := u.Watchdog()
			if interval != c.watchdog || on != (c.watchdog > 0) {
				t.Error(interval, on)
			}
			for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
				if value, ok := os.LookupEnv(key); ok {
					t.Errorf("%s=%s remains", key, value)
				}
			}
		})
	}
}

func TestBarrierEndsWithItsContext(t *testing.T) {
	leak.Descriptors(t)
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	u := &Unit{socket: path}
	ctx, end := context.WithCancelCause(t.Context())
	late := errors.New("late")
	ended := make(chan error, 1)
	go func() { ended <- u.Barrier(ctx) }()
	text, control := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	n, controls, _, _, err := manager.ReadMsgUnix(text, control)
	if err != nil || string(text[:n]) != "BARRIER=1" {
		t.Fatalf("%q, %v", text[:n], err)
	}
	end(late) // the manager holds the barrier while it works
	if err := <-ended; !errors.Is(err, late) || err.Error() != "wait for the service manager: late" {
		t.Error(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:controls])
	if err != nil || len(messages) != 1 {
		t.Fatal(len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	unix.Close(fds[0])

	if err := u.Barrier(ctx); !errors.Is(err, late) || err.Error() != "send BARRIER=1 to the service manager: late" {
		t.Error(err) // a context that had ended before
	}
}
