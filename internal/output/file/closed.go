package file

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	stampLayout      = "20060102T150405Z" // ISO 8601, basic format
	compressedSuffix = ".zst"
	temporarySuffix  = ".tmp" // of a compressed file that is not complete
)

func stampOf(t time.Time) string { return t.UTC().Format(stampLayout) }

// closedName returns the name of a closed file: PATH-20261129T120000Z, then PATH-20261129T120000Z.1.
func closedName(path, stamp string, number int) string {
	name := path + "-" + stamp
	if number > 0 {
		name += "." + strconv.Itoa(number)
	}
	return name
}

// closedFile is a file that was rotated.
type closedFile struct {
	path       string
	closed     time.Time // by the name
	number     int
	compressed bool
	temporary  bool // an incomplete compressed file
	size       int64
}

// parseClosed parses the rest of a closed file's name, after PATH.
func parseClosed(rest string) (c closedFile, ok bool) {
	rest, ok = strings.CutPrefix(rest, "-")
	if !ok {
		return c, false
	}
	rest, c.temporary = strings.CutSuffix(rest, compressedSuffix+temporarySuffix)
	if !c.temporary {
		rest, c.compressed = strings.CutSuffix(rest, compressedSuffix)
	}
	stamp, number, numbered := strings.Cut(rest, ".")
	closed, err := time.Parse(stampLayout, stamp)
	if err != nil || stampOf(closed) != stamp { // time.Parse accepts fractions of a second
		return c, false
	}
	c.closed = closed
	if numbered {
		c.number, err = strconv.Atoi(number)
		if err != nil || c.number < 1 || strconv.Itoa(c.number) != number {
			return c, false
		}
	}
	return c, true
}

// closedFiles returns the closed files of a path, the oldest first. Only regular files count.
func closedFiles(path string) (found []closedFile, err error) {
	folder, base := filepath.Split(path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, WithoutPath(err)
	}
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), base)
		if !ok || !entry.Type().IsRegular() {
			continue
		}
		c, ok := parseClosed(rest)
		if !ok {
			continue
		}
		info, err := entry.Info()
		if err != nil { // removed meanwhile
			continue
		}
		c.path, c.size = filepath.Join(folder, entry.Name()), info.Size()
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b closedFile) int {
		return cmp.Or(a.closed.Compare(b.closed), cmp.Compare(a.number, b.number),
			strings.Compare(a.path, b.path))
	})
	return found, nil
}

// Retain deletes closed files of a path: files that were closed more than KeepFor before now, and
// the oldest files while all closed files have more than KeepSize bytes. The error names the files
// that can't be deleted. Any goroutine may call Retain.
func Retain(path string, r Rotation, now time.Time) (deleted []string, err error) {
	if r.KeepSize == 0 && r.KeepFor == 0 {
		return nil, nil
	}
	closed, err := closedFiles(path)
	if err != nil {
		return nil, err
	}
	closed = slices.DeleteFunc(closed, func(c closedFile) bool { return c.temporary })
	var sum int64
	for _, c := range closed {
		sum += c.size
	}
	var errs []error
	for _, c := range closed {
		expired := r.KeepFor > 0 && now.Sub(c.closed) > r.KeepFor
		if !expired && (r.KeepSize == 0 || sum <= r.KeepSize) {
			continue
		}
		err := os.Remove(c.path)
		switch {
		case err == nil:
			deleted = append(deleted, c.path)
		case !errors.Is(err, fs.ErrNotExist): // another process deletes the same files
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Base(c.path), WithoutPath(err)))
			continue
		}
		sum -= c.size
	}
	return deleted, errors.Join(errs...)
}
