// Package handoff is the state of a process that outlives the process: sockets with their queues, and
// the memory of the counters. Package takeover brings a State to another process, package systemd
// stores it with the service manager.
package handoff

import (
	"encoding/json"
	"os"

	"github.com/udpshard/udpshard/internal/sys"
)

// State is what an active process hands over. All files in it are duplicates, and belong to the
// holder of the State.
//
// O_NONBLOCK is one flag for all duplicates of a socket, in every process: File.Fd and SyscallConn of
// these files leave it alone, but see net.TCPListener.File.
type State struct {
	Listeners []Listener
	Memory    Memory          // may be zero
	Web       *os.File        // the listening socket of HTTP; nil: none. Not stored by systemd
	Notes     json.RawMessage // JSON, for later versions; may be nil. Not stored by systemd
}

// Listener is the sockets of an address.
type Listener struct {
	Name     string
	Address  string // as in the configuration; getsockname(2) returns the address of a socket
	Protocol string
	Seed     uint32     // of the steering: flows stay at their sockets
	Sockets  []*os.File // UDP sockets, in the order of the shards
	Stream   *os.File   // the listening TCP socket of the address; nil: none. Not stored by systemd
}

// Memory is the memory in which a process counts. The zero Memory is that of a process without such
// memory.
type Memory struct {
	Counters *os.File // only the process that counts can write to it
	Control  *os.File // every process that has it can write to it; has the locks of leases and registrations
}

// MemoryFiles is how many files a Memory has that is not zero.
const MemoryFiles = 2

// MemoryOf returns the Memory of MemoryFiles files, which are in the order of Memory.Files.
func MemoryOf(files []*os.File) Memory { return Memory{Counters: files[0], Control: files[1]} }

// Files returns the files in the order in which they are sent and listed; none of the zero Memory.
func (m Memory) Files() []*os.File {
	if m == (Memory{}) {
		return nil
	}
	return []*os.File{m.Counters, m.Control}
}

// Duplicate returns new descriptors of the memory, or none with an error.
func (m Memory) Duplicate() (d Memory, err error) {
	if d.Counters, err = sys.DuplicateFile(m.Counters, ""); err != nil {
		return Memory{}, err
	}
	if d.Control, err = sys.DuplicateFile(m.Control, ""); err != nil {
		d.Counters.Close()
		return Memory{}, err
	}
	return d, nil
}

// Close closes the files. It may be called more than once.
func (m *Memory) Close() {
	CloseFiles(m.Files()...)
	*m = Memory{}
}

// Close closes all files. It may be called more than once.
func (s *State) Close() {
	s.Memory.Close()
	CloseFiles(s.Web)
	for _, l := range s.Listeners {
		CloseFiles(l.Sockets...)
		CloseFiles(l.Stream)
	}
	*s = State{}
}

// CloseFiles closes files, of which some may be nil.
func CloseFiles(files ...*os.File) {
	for _, f := range files {
		f.Close() // an error of nil is ignored like all others: nothing was written
	}
}
