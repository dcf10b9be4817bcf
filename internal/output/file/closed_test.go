package file

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// now is the time of tests of Retain.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// folderOf makes files of 100 bytes in a folder, and returns the folder.
func folderOf(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// namesIn returns the names in a folder.
func namesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestRetain(t *testing.T) {
	const (
		day1, day2, day3 = "x-20261126T120000Z", "x-20261127T120000Z", "x-20261128T120000Z"
		day              = 24 * time.Hour
	)
	for name, test := range map[string]struct {
		files    []string
		rotation Rotation
		deleted  []string
	}{
		"no limit":              {[]string{"x", day1, day2}, Rotation{}, nil},
		"the oldest first":      {[]string{"x", day3, day1, day2}, Rotation{KeepSize: 200}, []string{day1}},
		"exactly the sum":       {[]string{"x", day1, day2}, Rotation{KeepSize: 200}, nil},
		"all of them":           {[]string{"x", day1, day2}, Rotation{KeepSize: 1}, []string{day1, day2}},
		"compressed ones too":   {[]string{day1 + ".zst", day2, day3}, Rotation{KeepSize: 200}, []string{day1 + ".zst"}},
		"numbers in order":      {[]string{day1, day1 + ".2", day1 + ".10", day1 + ".9.zst"}, Rotation{KeepSize: 100}, []string{day1, day1 + ".2", day1 + ".9.zst"}},
		"by age":                {[]string{"x", day1, day2, day3}, Rotation{KeepFor: 2*day - 1}, []string{day1, day2}},
		"not yet by age":        {[]string{"x", day1, day2, day3}, Rotation{KeepFor: 2 * day}, []string{day1}},
		"by age and sum":        {[]string{day1, day2, day3}, Rotation{KeepFor: 2 * day, KeepSize: 100}, []string{day1, day2}},
		"incomplete ones stay":  {[]string{day1 + ".zst.tmp", day2}, Rotation{KeepSize: 100, KeepFor: 3 * day}, nil},
		"a time of the future":  {[]string{"x-20270101T000000Z"}, Rotation{KeepFor: day}, nil},
		"other paths' files":    {[]string{"y-20261126T120000Z", "xx-20261126T120000Z", "ax-20261126T120000Z"}, Rotation{KeepSize: 1}, nil},
		"of logrotate":          {[]string{"x.1", "x.2.gz", "x-20261126", "x-20261126.zst"}, Rotation{KeepSize: 1, KeepFor: 1}, nil},
		"similar names":         {[]string{"x-20261126T120000", "x-20261126T120000Z.gz", "x-20261126T120000Z.0", "x-20261126T120000Z.01", "x-20261126T120000Z.", "x-20261126T120000.5Z", "x-20261326T120000Z", "x-20261126T120000Z.1.bak", "x-20261126T120000Z.zst.1"}, Rotation{KeepSize: 1, KeepFor: 1}, nil},
		"another shard's files": {[]string{"x-1-20261126T120000Z", day1}, Rotation{KeepSize: 1}, []string{day1}},
	} {
		folder := folderOf(t, test.files...)
		deleted, err := Retain(filepath.Join(folder, "x"), test.rotation, now)
		for i := range deleted {
			deleted[i] = filepath.Base(deleted[i])
		}
		if err != nil || !slices.Equal(deleted, test.deleted) {
			t.Errorf("%s: deleted %q, %v; want %q", name, deleted, err, test.deleted)
		}
		left := slices.DeleteFunc(slices.Sorted(slices.Values(test.files)), func(file string) bool {
			return slices.Contains(test.deleted, file)
		})
		if got := namesIn(t, folder); !slices.Equal(got, left) {
			t.Errorf("%s: left %q, want %q", name, got, left)
		}
	}
}

// Folders and symbolic links with the name of a closed file stay, and nothing behind them changes.
func TestRetainDeletesRegularFilesAlone(t *testing.T) {
	folder := folderOf(t, "target")
	if err := os.Mkdir(filepath.Join(folder, "x-20261126T120000Z"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", filepath.Join(folder, "x-20261127T120000Z")); err != nil {
		t.Fatal(err)
	}
	deleted, err := Retain(filepath.Join(folder, "x"), Rotation{KeepSize: 1, KeepFor: 1}, now)
	if err != nil || deleted != nil || len(namesIn(t, folder)) != 3 {
		t.Errorf("deleted %q, %v", deleted, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := Retain(filepath.Join(folder, "x"), Rotation{KeepSize: 1}, now); err == nil || strings.Contains(err.Error(), folder) {
		t.Errorf("%v", err)
	}
}
