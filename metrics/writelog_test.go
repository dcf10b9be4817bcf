package metrics

import "testing"

// An entry is logged before the write and after the counting. Another process reads one of both.
func TestWriteLog(t *testing.T) {
	shared := newShared(t, Layout{"a", 1, 1, 0})
	shard := mustShard(t, shared, "a", 0)
	log := shard.OpenWriteLog("/x")
	want := func(what string, want Write) {
		t.Helper()
		want.Path, want.Device, want.Inode, want.Length = "/x", 1, 2, 10
		if writes := reopen(t, shared).LastWrites(); len(writes) != 1 || writes[0] != want {
			t.Errorf("%s: %+v, want %+v", what, writes, want)
		}
	}
	log.Begin(shard, Write{Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 10, Records: 2})
	want("after Begin", Write{Size: 100, Partial: 3, Records: 2, Uncounted: true})
	log.End(4, 7)
	want("after End of a partial record", Write{Size: 104, Partial: 7, Records: 2})
	log.Begin(shard, Write{Device: 1, Inode: 2, Size: 104, Partial: 7, Length: 10, Records: 2})
	shard.Delivered.Add(2)
	want("counted before End", Write{Size: 104, Partial: 7, Records: 2})
	log.End(10, 0)
	want("after End", Write{Size: 114, Records: 2})
	log.Begin(shard, Write{Device: 1, Inode: 2, Size: 114, Length: 10, Records: 2})
	log.Abandon()
	want("after Abandon", Write{Size: 114, Uncounted: true})

	other := newShared(t, Layout{"a", 1, 1, 0})
	log.Begin(mustShard(t, other, "a", 0), Write{Device: 9, Inode: 9, Size: 9, Length: 9, Records: 9})
	want("after Begin of a shard of other counters", Write{Size: 114, Uncounted: true})
}

// A damaged write log has no entry.
func TestADamagedWriteLog(t *testing.T) {
	for name, damage := range map[string]func(*writeLogMemory, *entry){
		"no path":                      func(j *writeLogMemory, _ *entry) { j.length.Store(0) },
		"a path longer than its room":  func(j *writeLogMemory, _ *entry) { j.length.Store(maxPathLen + 1) },
		"no entry was logged":          func(j *writeLogMemory, _ *entry) { j.sequence.Store(0) },
		"a shard out of range":         func(_ *writeLogMemory, e *entry) { e.shard = 1 },
		"a size that no file has":      func(_ *writeLogMemory, e *entry) { e.size = 1<<62 + 1 },
		"more partial than size":       func(_ *writeLogMemory, e *entry) { e.partial = e.size + 1 },
		"a length that no write has":   func(_ *writeLogMemory, e *entry) { e.length = 1<<62 + 1 },
		"more records than bytes":      func(_ *writeLogMemory, e *entry) { e.records = e.length + 1 },
		"no damage, which is a record": nil,
	} {
		shared := newShared(t, Layout{"a", 1, 1, 0})
		shard := mustShard(t, shared, "a", 0)
		shard.OpenWriteLog("/x").Begin(shard, Write{
			Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 10, Records: 2})
		j := shared.writeLog(0)
		want := 1
		if damage != nil {
			damage(j, &j.entries[j.sequence.Load()%2])
			want = 0
		}
		if writes := shared.LastWrites(); len(writes) != want {
			t.Errorf("%s: %+v", name, writes)
		}
	}
}
