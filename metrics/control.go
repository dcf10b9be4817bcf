package metrics

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/sys"
)

// control is the control memory, to which every process with the shared counters can write. The
// words are used as numbers only: no value of them can do harm. Leases are locks on the file: see
// takeover.Lease.
type control struct {
	file   *os.File
	memory []byte
	words  *controlWords
}

type controlWords struct {
	magic      [8]byte
	version    uint64
	epoch      atomic.Uint64 // see SharedCounters.Epoch
	handedOver atomic.Uint64 // 1: see SharedCounters.MarkHandedOver
}

const controlSize = 4 * 8

func newControl() (control, error) {
	file, memory, _, err := sys.NewMemory("udpshard-control", controlSize, sys.ReadWrite)
	if err != nil {
		return control{}, fmt.Errorf("control memory: %w", err)
	}
	words := sys.At[controlWords](memory, 0)
	words.magic, words.version = magic, layoutVersion
	words.epoch.Store(FirstEpoch)
	return control{file, memory, words}, nil
}

// openControl takes ownership of file, and closes the file with an error.
func openControl(file *os.File) (control, error) {
	memory, err := sys.MapMemory(file, sys.ReadWrite)
	if err == nil {
		if err = checkControl(memory); err == nil {
			return control{file, memory, sys.At[controlWords](memory, 0)}, nil
		}
		err = errors.Join(err, sys.UnmapMemory(memory))
	}
	return control{}, fmt.Errorf("control memory: %w", errors.Join(err, file.Close()))
}

func checkControl(memory []byte) error {
	if len(memory) != controlSize {
		return fmt.Errorf("%d bytes, not %d", len(memory), controlSize)
	}
	words := sys.At[controlWords](memory, 0)
	if words.magic != magic {
		return fmt.Errorf("the memory begins with %q, not %q", words.magic, magic)
	}
	return checkVersion(words.version)
}

// MarkHandedOver is SharedCounters.MarkHandedOver for the shared counters with a control memory.
// MarkHandedOver closes the file.
func MarkHandedOver(file *os.File) error {
	c, err := openControl(file)
	if err != nil {
		return err
	}
	c.words.handedOver.Store(1)
	return c.close()
}

func (c *control) close() error { return errors.Join(sys.UnmapMemory(c.memory), c.file.Close()) }
