package metrics

import (
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/udpshard/udpshard/internal/sys"
)

// Layout is what a Book has room for.
type Layout struct {
	Listener         string // name of the listener, 1 to 64 bytes
	Shards           int    // 1 to 4096
	Batch            int    // datagrams to a receive call, 1 to 1024
	ProtocolCounters int    // 0 to 1024: see Book.Tallies
}

// layoutVersion changes with whatever changes the meaning of a book's bytes:
// the order or size of Counters, journals, the receiver's headers. A book of
// another version is refused, not guessed at.
const layoutVersion = 4

// LayoutError says that another version of this program made a book, with another layout of
// the counters.
type LayoutError struct {
	Version uint64 // of the book's layout
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("layout version %d, and this program needs version %d", e.Version,
		layoutVersion)
}

func checkVersion(version uint64) error {
	if version != layoutVersion {
		return &LayoutError{version}
	}
	return nil
}

// What a book may have: the limits of shard.Config, and more listeners than a
// process can have shards. They keep what a damaged header says from
// overflowing.
const (
	longestName   = 64
	mostShards    = 4096
	mostBatch     = 1024
	mostListeners = 4096
	mostTallies   = 1024
)

var magic = [8]byte{'u', 'd', 'p', 's', 'h', 'a', 'r', 'd'}

// header begins a book; rows follow it, then the pages, the journals and the
// tallies.
type header struct {
	magic     [8]byte
	version   uint32
	listeners uint32
	size      uint64        // of all
	lineage   atomic.Uint64 // see Lineage
	_         [cacheLine - 4*8]byte
	takeovers Takeovers
}

// row is a listener.
type row struct {
	name    [longestName]byte
	length  uint32 // of name
	shards  uint32
	batch   uint32
	tallies uint32
}

const (
	headerSize  = 2 * cacheLine
	rowSize     = longestName + 16
	countersLen = 5 * cacheLine
)

func (r *row) text() string { return string(r.name[:r.length]) }

// check says what is wrong with a row.
func (r *row) check() error {
	switch {
	case r.length == 0 || r.length > longestName:
		return fmt.Errorf("a listener's name has %d bytes, not 1 to %d", r.length, longestName)
	case !utf8.Valid(r.name[:r.length]):
		return fmt.Errorf("the listener's name %q is no text", r.name[:r.length])
	case r.shards == 0 || r.shards > mostShards:
		return fmt.Errorf("listener %s: %d shards are not 1 to %d", r.text(), r.shards, mostShards)
	case r.batch == 0 || r.batch > mostBatch:
		return fmt.Errorf("listener %s: a batch of %d is not 1 to %d", r.text(), r.batch, mostBatch)
	case r.tallies > mostTallies:
		return fmt.Errorf("listener %s: %d tallies are more than %d", r.text(), r.tallies, mostTallies)
	}
	return nil
}

// stride is the distance of two pages: counters, and the receiver's memory.
func (r *row) stride() int { return up(countersLen + sys.ReceiverSpace(int(r.batch))) }

// tallySize is what the tallies of one writer take.
func (r *row) tallySize() int { return up(8 * int(r.tallies)) }

func up(n int) int { return (n + cacheLine - 1) / cacheLine * cacheLine }

// layOut says where everything is in a book of such rows.
func layOut(rows []row) (pages []int, journals int, tallies []int, size int) {
	at := up(headerSize + len(rows)*rowSize)
	for i := range rows {
		for range rows[i].shards {
			pages = append(pages, at)
			at += rows[i].stride()
		}
	}
	journals = at
	at += len(pages) * journalSize
	for i := range rows {
		tallies = append(tallies, at)
		at += (int(rows[i].shards) + 1) * rows[i].tallySize()
	}
	return pages, journals, tallies, at
}

func newRows(listeners []Layout) ([]row, error) {
	if len(listeners) == 0 || len(listeners) > mostListeners {
		return nil, fmt.Errorf("%d listeners are not 1 to %d", len(listeners), mostListeners)
	}
	rows := make([]row, len(listeners))
	seen := make(map[string]bool)
	for i, l := range listeners {
		if seen[l.Listener] {
			return nil, fmt.Errorf("two listeners are called %q", l.Listener)
		}
		seen[l.Listener] = true
		rows[i].length = uint32(len(l.Listener))
		rows[i].shards = uint32(min(max(l.Shards, 0), mostShards+1))
		rows[i].batch = uint32(min(max(l.Batch, 0), mostBatch+1))
		rows[i].tallies = uint32(min(max(l.ProtocolCounters, 0), mostTallies+1))
		copy(rows[i].name[:], l.Listener)
		if err := rows[i].check(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
