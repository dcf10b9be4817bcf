package output

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// fake is a Destination in memory: all files that its name has had, of which the last is open. The
// next step decides each write.
type fake struct {
	t    *testing.T
	log  *metrics.WriteLog
	seen func() // called before each write, without the lock

	mu      sync.Mutex
	steps   []step
	files   []*bytes.Buffer
	renamed bool // reopen starts a new file
	missing bool // the file's last name was removed
	closed  bool
}

// step is the result of one write: the number of bytes accepted (negative: all), and the error.
type step struct {
	take int
	err  error
}

var all = step{take: -1}

func newFake(t *testing.T, steps ...step) *fake {
	return &fake{t: t, steps: steps, files: []*bytes.Buffer{new(bytes.Buffer)}}
}

// change changes the state under the lock.
func (f *fake) change(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// texts returns the contents of the files.
func (f *fake) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var texts []string
	for _, file := range f.files {
		texts = append(texts, file.String())
	}
	return texts
}

// text returns the content of the open file.
func (f *fake) text() string {
	texts := f.texts()
	return texts[len(texts)-1]
}

func (f *fake) file() *bytes.Buffer { return f.files[len(f.files)-1] }

func (f *fake) Write(data []byte) (int, error) {
	if f.seen != nil {
		f.seen()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.t.Error("written after Close")
	}
	if len(data) == 0 {
		f.t.Error("an empty write")
	}
	next := all
	if len(f.steps) > 0 {
		next, f.steps = f.steps[0], f.steps[1:]
	}
	if next.take < 0 || next.take > len(data) {
		next.take = len(data)
	}
	f.file().Write(data[:next.take])
	return next.take, next.err
}

func (f *fake) NeedsReopen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.missing
}

func (f *fake) Begin(shard *metrics.Shard, length, records int) {
	f.log.Begin(shard, metrics.Write{Inode: 1, Length: length, Records: records})
}
func (f *fake) End(n int) { f.log.End(n, 0) }
func (f *fake) Abandon()  { f.log.Abandon() }

func (f *fake) Reopen() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cut := f.cut()
	if f.renamed || f.missing {
		f.files = append(f.files, new(bytes.Buffer))
	}
	f.renamed, f.missing = false, false
	return cut, nil
}

// cut removes an incomplete record from the end of the file.
func (f *fake) cut() int {
	text := f.file().Bytes()
	whole := bytes.LastIndexByte(text, '\n') + 1
	f.file().Truncate(whole)
	return len(text) - whole
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut()
	f.closed = true
	return nil
}

// events collects the events of a Set.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) report(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) all() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// rig is a Set with one destination and one stream.
type rig struct {
	set      *Set
	target   Destination
	counters *metrics.Shard
	stream   packet.Sink
	events   events
	record   func(number int) string
	number   int // of the next record
}

const fakeName = "/fake"

// newRig returns a rig with a running writer of target.
func newRig(t *testing.T, target Destination) *rig {
	t.Helper()
	r := &rig{target: target, counters: metrics.NewShard(0, 0), record: record}
	r.set = NewSet(r.events.report)
	r.set.start(fakeName, target)
	r.stream = r.open(t, r.counters)
	return r
}

// open returns another stream to the rig's Destination.
func (r *rig) open(t *testing.T, counters *metrics.Shard) packet.Sink {
	t.Helper()
	s, err := r.set.Open("file:"+fakeName, 0, counters, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record returns the text of a record, whose length varies with the number.
func record(number int) string {
	return fmt.Sprintf("{\"n\":%d,\"pad\":\"%s\"}\n", number, strings.Repeat("x", number*7%50))
}

// put commits records as a shard does: received first.
func (r *rig) put(count int) {
	for range count {
		r.counters.Received.Add(1)
		r.stream.Commit(append(r.stream.Buffer(), r.record(r.number)...))
		r.number++
	}
}

// flush puts records and hands them over at once.
func (r *rig) flush(count int) {
	r.put(count)
	r.stream.Flush()
}

func (r *rig) close(t *testing.T) {
	t.Helper()
	if err := r.set.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// closeAfterLoss closes after records were given up: the error names the Destination.
func (r *rig) closeAfterLoss(t *testing.T) {
	t.Helper()
	if err := r.set.Close(context.Background()); err == nil || !strings.Contains(err.Error(), fakeName) {
		t.Errorf("error %v: want the Destination that lost records", err)
	}
}

// records returns the text of records from to to, without the latter.
func records(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(record(i))
	}
	return b.String()
}

// counts checks the stream's counters.
func (r *rig) counts(t *testing.T, delivered, lost, inFlight uint64) {
	t.Helper()
	got := r.counters.Read()
	if got.Delivered != delivered || got.Dropped.Output != lost || got.InFlight != inFlight {
		t.Errorf("delivered %d, lost %d, in flight %d; want %d, %d, %d",
			got.Delivered, got.Dropped.Output, got.InFlight, delivered, lost, inFlight)
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s holds %d bytes, want %d: %s", what, len(got), len(want), difference(got, want))
	}
}

func difference(got, want string) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("at %d %.60q, want %.60q", at, got[at:], want[at:])
}

// bubble runs a test with a fake clock: sleeping costs no time, and synctest.Wait returns when
// every goroutine is blocked.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}
