package metrics

import (
	"reflect"
	"testing"
)

// writers are the groups of Counters that have one writer each.
var writers = [][]string{
	{"Received", "Bytes", "Batches", "Replied", "Truncated", "Unparsed", "NotAllowed", "RateLimited", "Malformed", "ReplyLost"},
	{"Delivered", "OutputLost"},
	{"Kernel"},
}

// Each writer has cache lines of its own: two that share one slow each other
// down (false sharing).
func TestWritersMeetOnNoCacheLine(t *testing.T) {
	owner := make(map[string]int)
	for writer, fields := range writers {
		for _, field := range fields {
			owner[field] = writer
		}
	}
	counters := reflect.TypeFor[Counters]()
	lines := make(map[uintptr]int) // whose it is
	for i := range counters.NumField() {
		field := counters.Field(i)
		if field.Name == "_" {
			continue
		}
		writer, known := owner[field.Name]
		if !known {
			t.Errorf("Counters.%s: the test does not know who writes it", field.Name)
			continue
		}
		delete(owner, field.Name)
		for at := field.Offset; at < field.Offset+field.Type.Size(); at++ {
			if other, taken := lines[at/cacheLine]; taken && other != writer {
				t.Fatalf("Counters.%s is on the line of %v", field.Name, writers[other])
			}
			lines[at/cacheLine] = writer
		}
	}
	for field := range owner {
		t.Errorf("Counters.%s: there is none", field)
	}
	if size := counters.Size(); size%cacheLine != 0 {
		t.Errorf("Counters has %d bytes: what comes behind is on the last counters' line", size)
	}
}

// That holds in memory only if a page begins a line and ends one.
func TestPagesBeginALine(t *testing.T) {
	if offset := reflect.TypeFor[Shard]().Field(0); offset.Name != "Counters" || offset.Offset != 0 {
		t.Errorf("a page begins with %s", offset.Name)
	}
	if size := reflect.TypeFor[Shard]().Size(); size%cacheLine != 0 {
		t.Errorf("a page has %d bytes: the next one is on its last line", size)
	}
	pages := make([]*Shard, 100)
	for i := range pages {
		pages[i] = new(Shard)
		if at := reflect.ValueOf(pages[i]).Pointer(); at%cacheLine != 0 {
			t.Fatalf("page %d is at %#x, %d bytes into a line", i, at, at%cacheLine)
		}
	}
}
