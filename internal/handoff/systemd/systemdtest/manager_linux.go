// Package systemdtest has a service manager for tests. A Manager receives the messages of
// services, stores descriptors as systemd does, and starts processes with the environment and the
// descriptors of a service.
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

// waitTimeout bounds waiting for an event that should come at once.
const waitTimeout = 20 * time.Second

// Manager is a service manager with one service.
type Manager struct {
	t        *testing.T
	conn     *net.UnixConn
	done     chan struct{}
	watchdog time.Duration

	mu        sync.Mutex
	changed   chan struct{} // closed, and replaced, at each message
	mainPID   int           // the only process whose messages count; 0: messages of all processes count
	capacity  int           // FileDescriptorStoreMax=
	remaining int           // store and remove messages until the manager ignores the rest; negative: no limit
	messages  []Message
	store     []Descriptor
}

// Descriptor is a file for a process, and its name.
type Descriptor struct {
	Name string
	File *os.File
}

// Message is a received message.
type Message struct {
	PID     int
	Text    string
	Files   int  // number of descriptors
	Ignored bool // the sender was not the main process
}

// DefaultCapacity is the capacity of a Manager's store before Limit.
const DefaultCapacity = 512

// maxFiles is the most descriptors of a message (SCM_MAX_FD, include/net/scm.h).
const maxFiles = 253

// New starts a Manager at a path, or at an abstract address that begins with @, until the end of
// the test.
func New(t *testing.T, at string) *Manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if at[0] != '@' { // every user may send messages
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

// Address is the value of NOTIFY_SOCKET.
func (m *Manager) Address() string { return m.conn.LocalAddr().String() }

// SetWatchdog sets the watchdog interval of processes (WatchdogSec=). The default is 20 seconds.
func (m *Manager) SetWatchdog(interval time.Duration) { m.watchdog = interval }

// SetMain sets the main process, and ignores messages of other processes (NotifyAccess=main).
// MAINPID= changes the main process. At first messages of all processes count.
func (m *Manager) SetMain(pid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mainPID = pid
}

// Pause makes the Manager handle no message until resume.
func (m *Manager) Pause() (resume func()) {
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

// handle handles a message as systemd does (service_notify_message, src/core/service.c).
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
			m.store = slices.Insert(m.store, 0, Descriptor{name, f}) // processes get the newest descriptor first
		}
	default: // such as of a barrier
		closeFiles(files)
	}
}

func (m *Manager) has(file *os.File) bool {
	return slices.ContainsFunc(m.store, func(d Descriptor) bool { return Identity(m.t, d.File) == Identity(m.t, file) })
}

// Await waits until enough returns true.
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

// StoredNames returns the names in the store, in alphabetical order.
func (m *Manager) StoredNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.storedNames()
}

// Messages returns all received messages.
func (m *Manager) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Limit sets the capacity of the store, and how many further store and remove messages are handled
// (negative: no limit). Limit returns the rest of the previous number.
func (m *Manager) Limit(max, takes int) (left int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	left = m.remaining
	m.capacity, m.remaining = max, takes
	return left
}

// Descriptors returns duplicates of the descriptors in the store.
func (m *Manager) Descriptors() (passed []Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.store {
		passed = append(passed, Descriptor{d.Name, Duplicate(m.t, d.File)})
	}
	return passed
}

// EmptyStore closes all stored descriptors, as when the unit stops.
func (m *Manager) EmptyStore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.store {
		d.File.Close()
	}
	m.store = nil
}

// Prepare changes a command so that the process starts as a service: with the sockets of a .socket
// unit, and then the stored descriptors. The shell sets LISTEN_PID to its own pid, and then
// becomes the program. Call started after the start.
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

// Identity returns the device and inode of a file.
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

// Duplicate returns a duplicate of a descriptor.
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
