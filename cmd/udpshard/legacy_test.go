package main

import (
	"os/exec"
	"path/filepath"
	"testing"
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
