package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// writeFile writes a file that each user can read, and returns its path.
func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// countLines returns the number of lines of a file, and calls each, if not nil, with every line.
func countLines(t *testing.T, path string, each func(line []byte)) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		if err == io.EOF {
			if len(line) > 0 {
				t.Errorf("%s ends with a partial line: %q", path, line)
			}
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if each != nil {
			each(line)
		}
	}
}

// readRecords reads a file of JSON lines.
func readRecords(t *testing.T, file string) []map[string]any {
	t.Helper()
	var all []map[string]any
	countLines(t, file, func(line []byte) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		all = append(all, record)
	})
	return all
}

// inode returns the inode number of a file.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// socketsOf returns the inodes of the sockets of a process; kind is udp or tcp.
func socketsOf(pid int, kind string) (held []string, err error) {
	var inodes []string
	for _, table := range []string{kind, kind + "6"} {
		text, _ := os.ReadFile("/proc/net/" + table) // hosts without IPv6 have no udp6
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 9 {
				inodes = append(inodes, "socket:["+fields[9]+"]")
			}
		}
	}
	descriptors := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(descriptors)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(descriptors, entry.Name())); err == nil && slices.Contains(inodes, target) {
			held = append(held, target+"\n")
		}
	}
	slices.Sort(held)
	return held, err
}

// readFile returns the text of a file.
func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
