package handoff

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/udpshard/udpshard/internal/leak"
)

func open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Close closes every file of a State, a second time too.
func TestCloseState(t *testing.T) {
	leak.Descriptors(t)
	s := State{
		Listeners: []Listener{{Sockets: []*os.File{open(t), open(t)}, Stream: open(t)}, {Sockets: []*os.File{open(t), nil}}},
		Memory:    Memory{Counters: open(t), Control: open(t)},
		Web:       open(t),
	}
	had := s.Listeners[0].Sockets[1]
	s.Close()
	s.Close()
	if err := had.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a socket is open: %v", err)
	}
	new(State).Close()
}

// MemoryOf and Files are inverse, and the zero Memory has no files.
func TestMemoryFiles(t *testing.T) {
	leak.Descriptors(t)
	m := Memory{Counters: open(t), Control: open(t)}
	defer m.Close()
	files := m.Files()
	if len(files) != MemoryFiles || MemoryOf(files) != m || !slices.Equal(MemoryOf(files).Files(), files) {
		t.Errorf("%v", files)
	}
	if files := (Memory{}).Files(); files != nil {
		t.Errorf("%v of the zero Memory", files)
	}
}
