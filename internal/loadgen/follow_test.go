package loadgen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// write appends to a file in a folder, which write creates if necessary.
func write(t *testing.T, folder, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openRecords(t *testing.T, path string) *Records {
	t.Helper()
	r, err := OpenRecords(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestFollow(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "records")
	c := NewChecker("k", []uint64{2})
	if err := c.Follow(context.Background(), openRecords(t, path), time.Millisecond); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that never comes: %v", err)
	}
	write(t, folder, "records", "run=k flow=0 n=0\n") // before the run
	records := openRecords(t, path)
	done := make(chan error)
	c = NewChecker("k", []uint64{2})
	go func() { done <- c.Follow(context.Background(), records, time.Minute) }()
	write(t, folder, "records", "run=k flow=0 n=1\nrun=k fl")
	write(t, folder, "records", "ow=0 n=0\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if total := c.Report().Total; total.Arrived != 2 || total.Reordered != 1 || total.Doubled != 0 {
		t.Errorf("%+v", total)
	}
}

// Each record is read once, whatever the names of files: renamed files are read to their ends, new
// files from the begin, and files of before from where they ended then.
func TestFollowRotatedFiles(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "records", "run=k flow=0 n=0\n")
	records := openRecords(t, filepath.Join(folder, "records"))
	write(t, folder, "records", "run=k flow=0 n=0\n")
	if err := os.Rename(filepath.Join(folder, "records"), filepath.Join(folder, "records.1")); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "records", "run=k flow=0 n=1\n")
	write(t, folder, "records.1", "run=k flow=0 n=2\n") // still open in the receiver
	c := NewChecker("k", []uint64{3})
	if err := c.Follow(context.Background(), records, time.Minute); err != nil {
		t.Fatal(err)
	}
	if total := c.Report().Total; total.Arrived != 3 || total.Doubled != 0 {
		t.Errorf("%+v", total)
	}
	// A truncated file is written anew. The file is shorter than before, also if the writer is
	// faster than Follow.
	write(t, folder, "records", strings.Repeat("an old record\n", 10))
	records = openRecords(t, filepath.Join(folder, "records"))
	if err := os.Truncate(filepath.Join(folder, "records"), 0); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "records", "run=k flow=0\n")
	c = NewChecker("k", []uint64{1})
	go func() {
		f, err := os.OpenFile(filepath.Join(folder, "records"), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("run=k flow=0 n=0\n")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}()
	if err := c.Follow(context.Background(), records, time.Minute); err != nil || c.Arrived() != 1 {
		t.Errorf("%d arrived, %v", c.Arrived(), err)
	}
}

// A file for each shard, or any pattern. Tokens are cut at the ends of reads of each file, and only
// the records within a file have an order.
func TestFollowManyFiles(t *testing.T) {
	for pattern, want := range map[string]uint64{
		"records-{shard}.json": 4, "records-*.json": 5, "records-[01].json": 3, "*-{shard}.jso?": 4, "records-1.json": 1, "re[1].json": 1, "{shard}": 0,
	} {
		folder := t.TempDir()
		write(t, folder, "records-0.json", "run=k flow=0 n=0\n")
		records := openRecords(t, filepath.Join(folder, pattern))
		write(t, folder, "records-0.json", "run=k flow=0 n=3\nrun=k flow=0 n=4 \nrun=k fl")
		write(t, folder, "records-1.json", "run=k flow=0 n=1\nrun=k ") // a file that did not exist before
		write(t, folder, "records-10.json", "run=k flow=0 n=2\n")
		write(t, folder, "records-1-old.json", "run=k flow=0 n=5\n")
		write(t, folder, "re[1].json", "run=k flow=0 n=6\n")
		write(t, folder, "0", "")
		c := NewChecker("k", []uint64{7})
		if err := c.Follow(context.Background(), records, 10*time.Millisecond); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		if total := c.Report().Total; total.Arrived != want || total.Doubled+total.Reordered > 0 {
			t.Errorf("%s: %+v, want %d", pattern, total, want)
		}
	}
}

// Unreadable files are errors before the run.
func TestRecordsThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "records", "")
	write(t, folder, "secret-0", "")
	if err := errors.Join(unix.Mkfifo(filepath.Join(folder, "fifo"), 0o600), os.Chmod(filepath.Join(folder, "secret-0"), 0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nowhere/records": "no such file or directory", "nowhere/{shard}": "no such file or directory",
		"records/{shard}": "is no folder", "records/x": "not a directory", ".": "is no regular file", "fifo": "is no regular file",
		"[a": "syntax error in pattern", "secret-0": "permission denied", "secret-{shard}": "permission denied", "s*": "permission denied",
	} {
		if os.Geteuid() == 0 && want == "permission denied" {
			continue // readable for root
		}
		r, err := OpenRecords(filepath.Join(folder, name))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if err == nil {
			r.Close()
		}
	}
	for _, name := range []string{"not-yet", "not-{shard}", "not*/yet", "records*"} {
		if r, err := OpenRecords(filepath.Join(folder, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			r.Close()
		}
	}
}
