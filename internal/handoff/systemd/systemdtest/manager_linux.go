// Package systemdtest stands in for the service manager in tests: it takes the
// messages of services, keeps descriptors for them as systemd does, and starts
// processes that are told of both.
package systemdtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// soon bounds what is to happen at once; nothing waits for its end.
const waitTimeout = 20 * time.Second

// Manager stands in for the service manager, with one service.
type Manager struct {
	t        *testing.T
	conn     *net.UnixConn
	done     chan struct{}
	watchdog time.Duration

	mu        sync.Mutex
	changed   chan struct{} // closed and made anew with each message
	mainPID   int           // the only process that it listens to; 0: to all
	capacity  int           // FileDescriptorStoreMax=
	remaining int           // ignores messages after so many that store or remove; below 0 for never
	messages  []Message
	store     []Descriptor
}

// Descriptor is a file that a process is passed, and its name.
type Descriptor struct {
	Name string
	File *os.File
}

// Message is what somebody said.
type Message struct {
	PID     int
	Text    string
	Files   int  // how many came along
	Ignored bool // it was not the main process's
}

// Room is how many descriptors a Manager keeps if nobody says otherwise.
const DefaultCapacity = 512

// maxFiles is the most descriptors that come with a message (SCM_MAX_FD,
// include/net/scm.h).
const maxFiles = 253

// New starts one at a path, or an abstract address that begins with @, until
// the test ends.
func New(t *testing.T, at string) *Manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if at[0] != '@' { // anybody may speak to it
		if err := os.Chmod(at, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	err = sys.Control(conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{t: t, conn: conn, done: make(chan struct{}), changed: make(chan struct{}), watchdog: 20 * time.Second, capacity: DefaultCapacity, remaining: -1}
	go m.serve()
	t.Cleanup(func() {
		conn.Close()
		<-m.done
		for _, d := range m.store {
			d.File.Close()
		}
	})
	return m
}

// Address is where it listens, as in NOTIFY_SOCKET.
func (m *Manager) Address() string { return m.conn.LocalAddr().String() }

// Watchdog sets the interval that processes are started with (WatchdogSec=),
// which is 20 seconds before.
func (m *Manager) SetWatchdog(interval time.Duration) { m.watchdog = interval }

// Main has it listen to one process alone (NotifyAccess=main), and to whom
// that one passes it on by MAINPID=. Before, it listens to all.
func (m *Manager) SetMain(pid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mainPID = pid
}

// Hold has it deal with nothing until the function that it returns is called.
func (m *Manager) Pause() (goOn func()) {
	m.mu.Lock()
	return m.mu.Unlock
}

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
		m.handle(Message{PID: pid, Text: string(buffer[:n]), Files: len(files)}, files)
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
func (m *Manager) handle(said Message, files []*os.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { close(m.changed); m.changed = make(chan struct{}) }()
	said.Ignored = m.mainPID != 0 && said.PID != m.mainPID
	m.messages = append(m.messages, said)
	if said.Ignored {
		closeFiles(files)
		return
	}
	fields := strings.Split(said.Text, "\n")
	name := "stored"
	for _, f := range fields {
		if text, ok := strings.CutPrefix(f, "FDNAME="); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(f, "MAINPID="); ok && m.mainPID != 0 {
			m.mainPID, _ = strconv.Atoi(text)
		}
	}
	stores, removes := slices.Contains(fields, "FDSTORE=1"), slices.Contains(fields, "FDSTOREREMOVE=1")
	ignored := m.remaining == 0
	if m.remaining > 0 && (stores || removes) {
		m.remaining--
	}
	switch {
	case removes && !ignored:
		m.store = slices.DeleteFunc(m.store, func(d Descriptor) bool {
			if d.Name == name {
				d.File.Close()
			}
			return d.Name == name
		})
	case stores && !ignored:
		for _, f := range files {
			if len(m.store) >= m.capacity || m.has(f) {
				f.Close()
				continue
			}
			m.store = slices.Insert(m.store, 0, Descriptor{name, f}) // the last is passed first
		}
	default: // a barrier's too
		closeFiles(files)
	}
}

func (m *Manager) has(file *os.File) bool {
	return slices.ContainsFunc(m.store, func(d Descriptor) bool { return Identity(m.t, d.File) == Identity(m.t, file) })
}

// Await waits until enough says so of what was said and is kept.
func (m *Manager) Await(what string, enough func(said []Message, kept []string) bool) {
	m.t.Helper()
	late := time.After(waitTimeout)
	for {
		m.mu.Lock()
		ok, changed := enough(m.messages, m.storedNames()), m.changed
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

func (m *Manager) storedNames() (names []string) {
	for _, d := range m.store {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

// Kept returns the names in the store, in alphabetical order.
func (m *Manager) StoredNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.storedNames()
}

// Said returns all that was said.
func (m *Manager) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Limit changes what it takes: max descriptors, and so many more messages that
// store or remove (below 0: any number). It returns how many of the latter
// were left.
func (m *Manager) Limit(max, takes int) (left int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	left = m.remaining
	m.capacity, m.remaining = max, takes
	return left
}

// Pass returns duplicates of what a process would be started with.
func (m *Manager) Descriptors() (passed []Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.store {
		passed = append(passed, Descriptor{d.Name, Duplicate(m.t, d.File)})
	}
	return passed
}

// Empty closes all that is kept, as when the unit stops.
func (m *Manager) EmptyStore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.store {
		d.File.Close()
	}
	m.store = nil
}

// Prepare changes a command to one of a process that the manager starts, with
// the sockets of a .socket unit before what is kept. The shell is there for
// LISTEN_PID: it is the pid of the program that the shell becomes. Once it has
// started, started is to be called.
func (m *Manager) Prepare(cmd *exec.Cmd, activated ...Descriptor) (started func()) {
	m.t.Helper()
	cmd.Args = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	var names []string
	stored := m.Descriptors()
	for _, d := range slices.Concat(activated, stored) {
		names = append(names, d.Name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, d.File)
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.Address(), fmt.Sprintf("WATCHDOG_USEC=%d", m.watchdog.Microseconds()), "FDSTORE="+strconv.Itoa(m.capacity))
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	return func() {
		for _, d := range stored {
			d.File.Close()
		}
	}
}

// Identity is the file that a descriptor is of, by device and inode.
func Identity(t *testing.T, f *os.File) (identity [2]uint64) {
	t.Helper()
	err := sys.Control(f, func(fd int) error {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		identity = [2]uint64{st.Dev, st.Ino}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// Duplicate makes another descriptor of the same file.
func Duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	duplicate, err := sys.DuplicateFile(f, f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return duplicate
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
