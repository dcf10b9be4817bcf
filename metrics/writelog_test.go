package metrics

import "testing"

// A write is noted before it is made and after it was counted; what another process finds is the
// one or the other.
func TestJournal(t *testing.T) {
	book := newBook(t, Layout{"a", 1, 1, 0})
	page := mustShard(t, book, "a", 0)
	j := page.OpenWriteLog("/x")
	want := func(what string, want Write) {
		t.Helper()
		want.Path, want.Device, want.Inode, want.Length = "/x", 1, 2, 10
		if writes := again(t, book).LastWrites(); len(writes) != 1 || writes[0] != want {
			t.Errorf("%s: %+v, want %+v", what, writes, want)
		}
	}
	j.Begin(page, Write{Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 10, Records: 2})
	want("it begins", Write{Size: 100, Partial: 3, Records: 2, Uncounted: true})
	j.End(4, 7)
	want("a part of it is written, and no record ends", Write{Size: 104, Partial: 7, Records: 2})
	j.Begin(page, Write{Device: 1, Inode: 2, Size: 104, Partial: 7, Length: 10, Records: 2})
	page.Delivered.Add(2)
	want("it is counted, and not noted yet", Write{Size: 104, Partial: 7, Records: 2})
	j.End(10, 0)
	want("it is over", Write{Size: 114, Records: 2})
	j.Begin(page, Write{Device: 1, Inode: 2, Size: 114, Length: 10, Records: 2})
	j.Abandon()
	want("it is given up", Write{Size: 114, Uncounted: true})

	other := newBook(t, Layout{"a", 1, 1, 0})
	j.Begin(mustShard(t, other, "a", 0), Write{Device: 9, Inode: 9, Size: 9, Length: 9, Records: 9})
	want("a write of a shard of another book", Write{Size: 114, Uncounted: true})
}

// What a damaged book says of a write is nothing.
func TestADamagedJournal(t *testing.T) {
	for name, damage := range map[string]func(*journal, *entry){
		"no path":                      func(j *journal, _ *entry) { j.length.Store(0) },
		"a path longer than its room":  func(j *journal, _ *entry) { j.length.Store(longestPath + 1) },
		"nothing was noted":            func(j *journal, _ *entry) { j.turn.Store(0) },
		"a page that there is not":     func(_ *journal, e *entry) { e.page = 1 },
		"a size that no file has":      func(_ *journal, e *entry) { e.size = 1<<62 + 1 },
		"more torn than there is":      func(_ *journal, e *entry) { e.torn = e.size + 1 },
		"a length that no write has":   func(_ *journal, e *entry) { e.length = 1<<62 + 1 },
		"more records than bytes":      func(_ *journal, e *entry) { e.records = e.length + 1 },
		"no damage, which is a record": nil,
	} {
		book := newBook(t, Layout{"a", 1, 1, 0})
		page := mustShard(t, book, "a", 0)
		page.OpenWriteLog("/x").Begin(page, Write{
			Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 10, Records: 2})
		j := book.journal(0)
		want := 1
		if damage != nil {
			damage(j, &j.entries[j.turn.Load()%2])
			want = 0
		}
		if writes := book.LastWrites(); len(writes) != want {
			t.Errorf("%s: %+v", name, writes)
		}
	}
}
