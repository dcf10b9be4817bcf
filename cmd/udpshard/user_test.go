package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// nobody is the user whose processes ordinary makes.
const nobody = 65534

// ordinary makes a command run as nobody, where the test is root.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// publicDir is a folder of the user that ordinary makes of a process, and of no other.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "udpshard-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ownedByNobody(t, dir)
	return dir
}

func ownedByNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// ownFolder is a folder of this user alone, and path a takeover path in it.
func privateFolder(t *testing.T) (dir, path string) {
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "takeover.sock")
}
