package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/shard/takeover"
)

func TestTheDefaultTakeoverPath(t *testing.T) {
	for folders, want := range map[string]string{
		"":                                    "",
		"/run/udpshard":                       "/run/udpshard/takeover.sock",
		"/run/udpshard:/run/udpshard/records": "/run/udpshard/takeover.sock",
	} {
		t.Setenv("RUNTIME_DIRECTORY", folders)
		if path := defaultTakeover(); path != want {
			t.Errorf("%q: %s, want %s", folders, path, want)
		}
	}
}

func TestAServiceWithSeveralRuntimeDirectories(t *testing.T) {
	first := t.TempDir()
	args := []string{"--listen", freePort(t), "--shards", "1", "--output", "discard"}
	directories := func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Environ(), "RUNTIME_DIRECTORY="+first+":"+t.TempDir())
	}
	before := serving(t, directories, args...)
	after := serving(t, nil, append(args, "--takeover", filepath.Join(first, "takeover.sock"))...)
	if code := before.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	after.wantSaid("took over")
}

// What is refused here is what package takeover can't use, and nothing else.
func TestNamesOfTakeoverPaths(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("f", socketRoom))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, nameRoom, nameRoom + 1, 200} {
		path := filepath.Join(folder, strings.Repeat("n", size))
		server, err := takeover.Listen(path, "test")
		if checked := checkTakeover(path); (checked == nil) != (err == nil) {
			t.Errorf("%d bytes: %v, and %v", size, checked, err)
		}
		if err == nil {
			server.Close()
		}
	}
	short := "/tmp/" + strings.Repeat("n", nameRoom+1)
	if err := checkTakeover(short); err != nil {
		t.Errorf("%s: %v", short, err)
	}
}
