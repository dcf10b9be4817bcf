package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/udpshard/udpshard/internal/cli"
)

// rotatingListener is a listener with a file that is rotated at nearly every write.
type rotatingListener struct {
	t          *testing.T
	dir, path  string // of the open file
	web, at    string
	configFile string
}

func newRotatingListener(t *testing.T) *rotatingListener {
	t.Helper()
	dir := publicDir(t)
	r := &rotatingListener{t: t, dir: dir, path: filepath.Join(dir, "records"), web: freePort(t), at: freePort(t)}
	r.configFile = writeFile(t, filepath.Join(dir, "serve.yaml"), fmt.Sprintf(`
http: %s
log: {format: json, level: debug}
takeover: %s
listeners:
  - address: %s
    protocol: raw
    shards: 2
    output: file:%s
    rotate_size: 64KiB
    rotate_every: 1s
    compress: zstd
`, r.web, filepath.Join(dir, "takeover.sock"), r.at, r.path))
	return r
}

// start starts a process, and does not wait.
func (r *rotatingListener) start(flags ...string) *process {
	r.t.Helper()
	p := launch(r.t, asNobody, append([]string{"serve", "--config", r.configFile}, flags...)...)
	p.http = r.web
	return p
}

// closed returns the closed files.
func (r *rotatingListener) closed() []string {
	r.t.Helper()
	names, err := filepath.Glob(r.path + "-*")
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

var datagramNumber = regexp.MustCompile(`"message":"datagram (\d+)"`)

// wantRecords checks that all files together have n records, each once, in whole lines.
func (r *rotatingListener) wantRecords(n uint64) {
	r.t.Helper()
	found := make(map[string]string) // number to file
	var lines uint64
	files := append(r.closed(), r.path)
	for _, name := range files {
		for line := range strings.Lines(r.read(name)) {
			lines++
			number := datagramNumber.FindStringSubmatch(line)
			if number == nil || !strings.HasSuffix(line, "}\n") {
				r.t.Fatalf("%s has the line %q", name, line)
			}
			if other, twice := found[number[1]]; twice {
				r.t.Errorf("datagram %s is in %s and in %s", number[1], other, name)
			}
			found[number[1]] = name
		}
	}
	if lines != n {
		r.t.Errorf("%d records in %d files, want %d", lines, len(files), n)
	}
}

// read returns the content of a file, decompressed.
func (r *rotatingListener) read(name string) string {
	r.t.Helper()
	f, err := os.Open(name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var content io.Reader = f
	if strings.HasSuffix(name, ".zst") {
		decoder, err := zstd.NewReader(f)
		if err != nil {
			r.t.Fatal(err)
		}
		defer decoder.Close()
		content = decoder
	}
	text, err := io.ReadAll(content)
	if err != nil {
		r.t.Errorf("%s: %v", name, err)
	}
	return string(text)
}

// waitForRotations waits until n more files are closed.
func (r *rotatingListener) waitForRotations(n int) {
	r.t.Helper()
	before := len(r.closed())
	eventually(r.t, fmt.Sprintf("%d more files are closed", n), func() bool { return len(r.closed()) >= before+n })
}

// wantNoErrors checks that a process has logged no error.
func (p *process) wantNoErrors() {
	p.t.Helper()
	if p.hasLogged(`"level":"error"`) {
		p.t.Error("the log has an error")
	}
}

// Upgrades and a stop, while files are rotated and compressed under load: each datagram is in one
// file, once.
func TestUpgradesDuringRotation(t *testing.T) {
	r := newRotatingListener(t)
	p := r.start()
	p.waitUntilReady()
	stop := sendUntilStopped(t, r.at)
	for range 5 {
		r.waitForRotations(3)
		next := r.start()
		next.waitForTakeover()
		p.wantExit(cli.ExitDone)
		p.wantNoErrors()
		p = next
		p.waitUntilReading()
	}
	r.waitForRotations(3)
	sent := stop()
	total := p.settledTotal()
	if total.Received+total.Dropped.Kernel != sent || total.Delivered != total.Received {
		t.Errorf("got %+v of %d sent", total, sent)
	}
	eventually(t, "the last file is closed by its age", func() bool {
		info, err := os.Stat(r.path)
		return err == nil && info.Size() == 0
	})
	eventually(t, "a file is compressed", func() bool {
		names, _ := filepath.Glob(r.path + "-*.zst")
		return len(names) > 0
	})
	p.wantStop()
	p.wantNoErrors()
	r.wantRecords(total.Delivered)
}

// Active processes are killed while they rotate under load: all files together have the records
// that the ledger of the standby counts as delivered, each once.
func TestKillsDuringRotation(t *testing.T) {
	r := newRotatingListener(t)
	p := r.start()
	p.waitUntilReady()
	standby := r.start("--standby")
	standby.waitForLog("standby started")
	stop := sendUntilStopped(t, r.at)
	for range 4 {
		r.waitForRotations(2)
		p.kill()
		standby.waitForTakeover()
		standby.waitUntilReading()
		p, standby = standby, r.start("--standby")
		standby.waitForLog("standby started")
	}
	r.waitForRotations(2)
	if standby.hasLogged("output rotated") || standby.hasLogged("closed output file") {
		t.Error("the standby has changed files")
	}
	sent := stop()
	total := p.settledTotal()
	if total.Received+total.Dropped.Kernel != sent || total.Delivered+total.Dropped.LostInCrash != total.Received {
		t.Errorf("got %+v of %d sent", total, sent)
	}
	standby.kill()
	p.wantStop()
	p.wantNoErrors()
	r.wantRecords(total.Delivered)
}
