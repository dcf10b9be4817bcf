package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A spool that another process uses is an error with its PID; a spool that cannot be written is an
// error, too. Neither starts.
func TestSpoolThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	spool := filepath.Join(t.TempDir(), "spool")
	args := []string{"serve", "--http", "", "--listen", freePort(t), "--to", "tcp://127.0.0.1:1",
		"--spool"}
	p := startServe(t, nil, "--listen", freePort(t), "--to", "tcp://127.0.0.1:2", "--spool", spool)
	other := launch(t, nil, append(args, spool)...)
	other.wantExit(64)
	other.waitForLog(fmt.Sprintf("process %d uses the spool", p.pid()), "hint: ")
	if os.Geteuid() != 0 {
		t.Skip("needs a folder of another user: run as root")
	}
	denied := launch(t, asNobody, append(args, filepath.Join(t.TempDir(), "spool"))...)
	denied.wantExit(64)
	denied.waitForLog("permission denied")
}

// Files of others in the folders of a spool disturb nothing, and stay.
func TestForeignFilesStay(t *testing.T) {
	t.Parallel()
	spool, to := filepath.Join(t.TempDir(), "spool"), freePort(t)
	address := freePort(t)
	args := []string{"--listen", address, "--shards", "1", "--to", "tcp://" + to, "--spool", spool}
	p := startServe(t, nil, args...)
	newSenders(t, address, 1).send(100, 0)
	p.waitForDelivered(100)
	p.wantStop()
	var files []string
	for _, folder := range []string{"", "epochs", "syslog", "syslog/consumers", "syslog/1-0"} {
		path := filepath.Join(spool, folder, "notes.txt")
		if err := os.WriteFile(path, []byte("notes"), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	c := startCollector(t, to, nil)
	p = startServe(t, nil, args...)
	eventually(t, "the records are shipped", func() bool { return p.target().Acknowledged == 100 })
	p.wantStop()
	wantRecords(t, c, 100, 0)
	for _, path := range files {
		if content, err := os.ReadFile(path); err != nil || string(content) != "notes" {
			t.Errorf("%q, %v", content, err)
		}
	}
}
