package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Probe fails as Open fails, and makes nothing.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		make func(folder string) error
		path string
		want string // "": no error
	}{
		"no folder":           {path: "a/b/c"},
		"empty folder":        {path: "."},
		"spool":               {path: ".", make: func(f string) error { return openAndClose(f) }},
		"file":                {path: "f", make: fileWith("f", ""), want: "not a directory"},
		"folder below a file": {path: "f/a/b", make: fileWith("f", ""), want: "not a directory"},
		"other files":         {path: ".", make: fileWith("f", ""), want: "the folder has other files (f), and is no spool"},
		"damaged":             {path: ".", make: fileWith(identityFile, "{"), want: "is damaged"},
		"layout":              {path: ".", make: fileWith(identityFile, `{"version":9,"id":"0123456789abcdef"}`), want: "layout 9"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if c.make != nil {
				if err := c.make(folder); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadDir(folder)
			path := filepath.Join(folder, c.path)
			err := Probe(path)
			after, _ := os.ReadDir(folder)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if len(before) != len(after) {
				t.Errorf("%d files before, and %d after", len(before), len(after))
			}
			opened := openAndClose(path)
			if (opened == nil) != (err == nil) || err != nil && opened.Error() != err.Error() {
				t.Errorf("Probe: %v\nOpen:  %v", err, opened)
			}
		})
	}
}

func fileWith(name, content string) func(folder string) error {
	return func(folder string) error {
		return os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600)
	}
}

func openAndClose(path string) error {
	s, err := Open(Settings{Path: path, MaxSize: 1 << 20}, func(Event) {})
	if err == nil {
		s.Close()
	}
	return err
}

// Probe names the process that ships from the spool.
func TestProbeFindsTheLock(t *testing.T) {
	s, err := Open(Settings{Path: t.TempDir(), MaxSize: 1 << 20}, func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := Probe(s.Path); err != nil {
		t.Error(err)
	}
	if err := s.Acquire("token"); err != nil {
		t.Fatal(err)
	}
	var by *InUseError
	if err := Probe(s.Path); !errors.As(err, &by) || by.PID != os.Getpid() {
		t.Errorf("%v, want process %d", err, os.Getpid())
	}
	s.Release()
	if err := Probe(s.Path); err != nil {
		t.Error(err)
	}
}
