package systemd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// soon bounds what is to happen at once; nothing waits for its end.
const soon = 20 * time.Second

// Manager stands in for the service manager: it takes messages, keeps
// descriptors as systemd does, and starts processes that are told of both.
type Manager struct {
	t    *testing.T
	conn *net.UnixConn
	done chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and made anew with each message
	max     int           // FileDescriptorStoreMax=
	takes   int           // ignores messages after so many that store or remove; below 0 for never
	said    []Message
	store   []Passed
}

// Message is what somebody said.
type Message struct {
	PID   int
	Text  string
	Files int // how many came along
}

// standard is how many descriptors it keeps if nobody says otherwise.
const standard = 512

// NewManager starts one at a path, or an abstract address that begins with @.
func NewManager(t *testing.T, at string) *Manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{t: t, conn: conn, done: make(chan struct{}), changed: make(chan struct{}), max: standard, takes: -1}
	go m.serve()
	t.Cleanup(func() {
		conn.Close()
		<-m.done
		for _, p := range m.store {
			p.File.Close()
		}
	})
	return m
}

func newManager(t *testing.T) *Manager {
	return NewManager(t, filepath.Join(t.TempDir(), "notify"))
}

func (m *Manager) address() string { return m.conn.LocalAddr().String() }

func (m *Manager) serve() {
	defer close(m.done)
	buffer, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*maxFiles)+unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, flags, _, err := m.conn.ReadMsgUnix(buffer, control)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				m.t.Error(err)
			}
			return
		}
		if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			m.t.Errorf("a message that is too long: %#x", flags)
		}
		pid, files := m.parse(control[:oobn])
		m.take(Message{pid, string(buffer[:n]), len(files)}, files)
	}
}

func (m *Manager) parse(control []byte) (pid int, files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		m.t.Error(err)
	}
	for _, c := range messages {
		switch c.Header.Type {
		case unix.SCM_RIGHTS:
			fds, err := unix.ParseUnixRights(&c)
			if err != nil {
				m.t.Error(err)
			}
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				files = append(files, os.NewFile(uintptr(fd), "stored"))
			}
		case unix.SCM_CREDENTIALS:
			pid = int(binary.NativeEndian.Uint32(c.Data))
		}
	}
	return pid, files
}

// take does what systemd does with a message (service_notify_message,
// src/core/service.c), as far as we say it.
func (m *Manager) take(said Message, files []*os.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { close(m.changed); m.changed = make(chan struct{}) }()
	m.said = append(m.said, said)
	fields := strings.Split(said.Text, "\n")
	name := "stored"
	for _, f := range fields {
		if text, ok := strings.CutPrefix(f, "FDNAME="); ok {
			name = text
		}
	}
	stores, removes := slices.Contains(fields, "FDSTORE=1"), slices.Contains(fields, "FDSTOREREMOVE=1")
	ignored := m.takes == 0
	if m.takes > 0 && (stores || removes) {
		m.takes--
	}
	switch {
	case removes && !ignored:
		m.store = slices.DeleteFunc(m.store, func(p Passed) bool {
			if p.Name == name {
				p.File.Close()
			}
			return p.Name == name
		})
	case stores && !ignored:
		for _, f := range files {
			if len(m.store) >= m.max || m.has(f) {
				f.Close()
				continue
			}
			m.store = slices.Insert(m.store, 0, Passed{name, f}) // the last is passed first
		}
	default: // a barrier's too
		shut(files...)
	}
}

func (m *Manager) has(file *os.File) bool {
	return slices.ContainsFunc(m.store, func(p Passed) bool { return identity(m.t, p.File) == identity(m.t, file) })
}

// Await waits until enough says so of what was said and is kept.
func (m *Manager) Await(what string, enough func(said []Message, kept []string) bool) {
	m.t.Helper()
	late := time.After(soon)
	for {
		m.mu.Lock()
		ok, changed := enough(m.said, m.names()), m.changed
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			m.t.Fatalf("%s: not said", what)
		}
	}
}

func (m *Manager) names() (names []string) {
	for _, p := range m.store {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// Kept returns the names in the store, in alphabetical order.
func (m *Manager) Kept() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names()
}

// Said returns all that was said.
func (m *Manager) Said() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.said)
}

func texts(said []Message) (all []string) {
	for _, s := range said {
		all = append(all, s.Text)
	}
	return all
}

// Limit changes what it takes: max descriptors, and so many more messages that
// store or remove (below 0: any number). It returns how many of the latter
// were left.
func (m *Manager) Limit(max, takes int) (left int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	left = m.takes
	m.max, m.takes = max, takes
	return left
}

// Pass returns duplicates of what a process would be started with.
func (m *Manager) Pass() (passed []Passed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.store {
		passed = append(passed, Passed{p.Name, dup(m.t, p.File)})
	}
	return passed
}

// Command is a process as this manager would start it, with the sockets of a
// .socket unit before what is kept. The shell is there for LISTEN_PID: it is
// the pid of the program that the shell becomes.
func (m *Manager) Command(activated []Passed, program string, args ...string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, program}, args...)...)
	var names []string
	stored := m.Pass()
	for _, p := range append(slices.Clone(activated), stored...) {
		names = append(names, p.Name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, p.File)
	}
	m.t.Cleanup(func() {
		for _, p := range stored {
			p.File.Close()
		}
	})
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.address(), "WATCHDOG_USEC=20000000", "FDSTORE="+strconv.Itoa(m.max))
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	cmd.Stderr = os.Stderr
	return cmd
}

// unit is this process, as started by the manager.
func (m *Manager) unit() *Unit {
	u := &Unit{socket: m.address(), limit: m.max, stored: make(map[string]bool)}
	for _, name := range m.Kept() {
		u.stored[name] = true
		if n, ok := ParseName(name); ok && n.Kind == ListKind {
			u.generation = max(u.generation, n.ID)
		}
	}
	return u
}

// identity is the file that a descriptor is of, by device and inode.
func identity(t *testing.T, f *os.File) [2]uint64 {
	t.Helper()
	fds, err := numbers([]*os.File{f})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fds[0], &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint64{st.Dev, st.Ino}
}

func dup(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fds, err := numbers([]*os.File{f})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// udpSockets returns n sockets on one port of loopback.
func udpSockets(t *testing.T, n int) []*os.File {
	t.Helper()
	address := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	var files []*os.File
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			files = append(files, os.NewFile(uintptr(fd), "udp"))
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(fd, address))
		}
		if err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		address = name.(*unix.SockaddrInet4)
	}
	t.Cleanup(func() { shut(files...) })
	return files
}

func memory(t *testing.T, text string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

// content is what a memory file has, whatever its offset.
func content(t *testing.T, f *os.File) string {
	t.Helper()
	text := make([]byte, 100)
	n, _ := f.ReadAt(text, 0)
	return string(bytes.Clone(text[:n]))
}

// keepsDescriptors fails a test that ends with other descriptors open than it
// began with. It is called before anything else.
func keepsDescriptors(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the poller has descriptors too
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := count()
	t.Cleanup(func() {
		if after := count(); after != before {
			t.Errorf("%d descriptors, and %d before", after, before)
		}
	})
}
