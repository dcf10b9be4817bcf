package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// replaceByPipe replaces a file by a named pipe without a writer. undo restores the file.
func replaceByPipe(t *testing.T, path string) (undo func()) {
	t.Helper()
	away := path + ".away"
	if err := errors.Join(os.Rename(path, away), unix.Mkfifo(path, 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(away, path); err != nil {
			t.Fatal(err)
		}
	}
}

// A named pipe has replaced the configuration, a zone or an included file: the reload is refused, or
// the zone fails to load, instead of waiting for a writer, and the next reload, with the file,
// succeeds.
func TestReloadRefusesPipe(t *testing.T) {
	dir := publicDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	address := freePort(t)
	for name, text := range map[string]string{
		"serve.yaml": fmt.Sprintf("http: ''\nlog: {format: json}\nlisteners:\n  - {address: %s, protocol: dns, shards: 1, zone: %s, output: 'file:%s'}\n",
			address, path("zone"), path("records")),
		"zone":     "$ORIGIN t.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n$INCLUDE included\n",
		"included": "www A 192.0.2.1\n",
	} {
		writeFile(t, path(name), text)
	}
	p := launch(t, asNobody, "serve", "--config", path("serve.yaml"))
	p.waitForLog(`"message":"listening"`)
	for name, effect := range map[string]string{"serve.yaml": "reload refused", "zone": "zone failed to load", "included": "zone failed to load"} {
		p.logs.Reset()
		undo := replaceByPipe(t, path(name))
		p.signal(unix.SIGHUP)
		p.waitForLog(effect, name+": not a regular file")
		if effect != "reload refused" {
			p.waitForLog("reload finished")
		}
		undo()
		p.logs.Reset()
		if err := os.Rename(path("records"), path("records."+name)); err != nil {
			t.Fatal(err)
		}
		p.signal(unix.SIGHUP)
		p.waitForLog("reload finished")
		eventually(t, "the output is opened again", func() bool {
			_, err := os.Stat(path("records"))
			return err == nil
		})
	}
	p.wantStop()
	undo := replaceByPipe(t, path("serve.yaml"))
	defer undo()
	if code := launch(t, asNobody, "serve", "--config", path("serve.yaml")).wait(); code != cli.ExitConfig {
		t.Errorf("got exit code %d of a start with a pipe, want %d", code, cli.ExitConfig)
	}
}

// A named pipe has replaced the configuration of a standby: the reload is refused, and the standby
// takes over later.
func TestStandbyReloadRefusesPipe(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	socket, file := filepath.Join(dir, "takeover.sock"), filepath.Join(dir, "standby.yaml")
	text := "http: ''\nstandby: true\ntakeover: " + socket + "\nlog: {format: json}\nlisteners:\n  - {address: " + address + ", shards: 1, output: discard}\n"
	writeFile(t, file, text)
	p := startServe(t, asNobody, "--listen", address, "--shards", "1", "--takeover", socket, "--output", "discard")
	standby := launch(t, asNobody, "serve", "--config", file)
	standby.waitForLog("standby started")
	undo := replaceByPipe(t, file)
	standby.signal(unix.SIGHUP)
	standby.waitForLog("reload refused", "standby.yaml: not a regular file")
	undo()
	standby.signal(unix.SIGHUP)
	eventually(t, "the standby has reloaded", func() bool { return strings.Count(standby.logs.String(), "standby started") == 2 })
	p.cmd.Process.Kill()
	standby.waitForTakeover()
	standby.wantStop()
}
