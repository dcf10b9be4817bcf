package systemd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/sys"
)

// manifest lists the contents of a stored state. The manifest is stored as a memory file, so that
// one message makes the state valid.
type manifest struct {
	Format    int                `json:"format"`
	Counters  []uint64           `json:"counters"` // inodes
	Listeners []manifestListener `json:"listeners"`
}

type manifestListener struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Protocol string   `json:"protocol"`
	Seed     uint32   `json:"seed"`
	Sockets  []uint64 `json:"sockets"` // cookies
}

// manifestFormat is the version of the format. A process reads only manifests of its own format.
const manifestFormat = 2

// maxManifest bounds the bytes that are read. A shard needs up to 21 bytes.
const maxManifest = 1 << 20

func (l manifest) write() (*os.File, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, and the limit is %d", len(text), maxManifest)
	}
	file, memory, _, err := sys.NewMemory("udpshard-set", len(text), sys.ReadOnly)
	if err != nil {
		return nil, err
	}
	copy(memory, text)
	if err := sys.UnmapMemory(memory); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// readManifest reads from the start of the file, because all duplicates share a file offset.
func readManifest(file *os.File) (manifest, error) {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, maxManifest+1))
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(text)
}

func parseManifest(text []byte) (l manifest, err error) {
	if len(text) > maxManifest {
		return manifest{}, fmt.Errorf("more than %d bytes", maxManifest)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return manifest{}, err
	}
	if l.Format != manifestFormat {
		return manifest{}, fmt.Errorf("format %d, and this version reads format %d", l.Format, manifestFormat)
	}
	var sockets []uint64
	for _, item := range l.Listeners {
		sockets = append(sockets, item.Sockets...)
	}
	switch {
	case len(l.Counters) != 0 && len(l.Counters) != handoff.MemoryFiles:
		return manifest{}, fmt.Errorf("%d files of counters, not %d", len(l.Counters), handoff.MemoryFiles)
	case hasDuplicates(sockets):
		return manifest{}, errors.New("the same socket twice")
	case hasDuplicates(slices.Clone(l.Counters)):
		return manifest{}, errors.New("the same counters twice")
	}
	return l, nil
}

// hasDuplicates reports whether a number is repeated. It sorts numbers.
func hasDuplicates(numbers []uint64) bool {
	slices.Sort(numbers)
	return len(slices.Compact(slices.Clone(numbers))) != len(numbers)
}
