package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/udpshard/udpshard/internal/dnstap"
	"github.com/udpshard/udpshard/metrics"
)

var (
	encoder  = dnstap.NewEncoder("host", "test")
	queryOne = frame(dnstap.AuthQuery, "one")
	queryTwo = frame(dnstap.AuthQuery, "two")
	response = frame(dnstap.AuthResponse, "a response")
)

func frame(of dnstap.Type, text string) string {
	return string(encoder.AppendFrame(nil, &dnstap.Message{Type: of, Client: netip.MustParseAddrPort("192.0.2.1:53"), Query: []byte(text), QueryTime: time.Now()}))
}

// readStream returns the frames of a file, as the reference reader reads it.
func readStream(t *testing.T, path string) (frames []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := framestream.NewReader(file, &framestream.ReaderOptions{ContentTypes: [][]byte{[]byte("protobuf:dnstap.Dnstap")}})
	if err != nil {
		t.Fatal(err)
	}
	for {
		buf := make([]byte, 1<<16)
		n, err := r.ReadFrame(buf)
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, string(buf[:n]))
	}
}

// checkStream compares the frames of a file with whole frames.
func checkStream(t *testing.T, path string, want ...string) {
	t.Helper()
	var got []string
	for _, data := range readStream(t, path) {
		got = append(got, string(binary.BigEndian.AppendUint32(nil, uint32(len(data))))+data)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", filepath.Base(path), got, want)
	}
}

func hasStop(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasSuffix(text, dnstap.StreamEnd)
}

func openStream(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenStream(path, metrics.NewShard(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// One process after another appends to a file, also while both have it open, and the reference reader
// reads all frames. A file that is closed because another has its path ends in STOP.
func TestStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries")
	first := openStream(t, path)
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("before the first write: %v, %v", info, err)
	}
	write(t, first, queryOne+response)
	second := openStream(t, path) // a standby
	write(t, first, queryTwo)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, second, queryOne)
	write(t, second, queryTwo)
	checkStream(t, path, queryOne, response, queryTwo, queryOne, queryTwo)
	if hasStop(t, path) {
		t.Error("a file that continues ends in STOP")
	}

	if _, err := second.Reopen(); err != nil || hasStop(t, path) { // SIGHUP without a new name
		t.Errorf("reopened: %v", err)
	}
	write(t, second, queryOne)
	renamed := path + ".1"
	if err := os.Rename(path, renamed); err != nil {
		t.Fatal(err)
	}
	standby := openStream(t, renamed) // has written nothing: its reopening ends no stream
	standby.path = path
	if _, err := standby.Reopen(); err != nil || hasStop(t, renamed) {
		t.Errorf("reopened by a standby: %v", err)
	}
	if _, err := second.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, second, queryTwo)
	checkStream(t, renamed, queryOne, response, queryTwo, queryOne, queryTwo, queryOne)
	checkStream(t, path, queryTwo)
	if !hasStop(t, renamed) || hasStop(t, path) {
		t.Errorf("STOP: %t in the renamed file, %t in the new file", hasStop(t, renamed), hasStop(t, path))
	}

	// The renamed file comes back: its STOP makes room for more.
	second.Close()
	if err := os.Rename(renamed, path); err != nil {
		t.Fatal(err)
	}
	write(t, openStream(t, path), queryTwo)
	checkStream(t, path, queryOne, response, queryTwo, queryOne, queryTwo, queryOne, queryTwo)
}

// Another program empties the file: the stream begins anew.
func TestEmptiedStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries")
	f := openStream(t, path)
	write(t, f, queryOne)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, f, queryTwo)
	checkStream(t, path, queryTwo)
}

// A rotated stream ends in STOP.
func TestRotatedStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries")
	f := openStream(t, path)
	if err := f.SetRotation(Rotation{Size: 1}); err != nil {
		t.Fatal(err)
	}
	write(t, f, queryOne+response)
	if f.NeedsReopen() || !f.RotationDue() {
		t.Fatal("no rotation is due")
	}
	closed, err := f.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, queryTwo)
	checkStream(t, closed, queryOne, response)
	checkStream(t, path, queryTwo)
	if !hasStop(t, closed) {
		t.Error("no STOP")
	}
}

// After a crash, the next process cuts an incomplete frame off, with and without a write log.
func TestStreamAfterCrash(t *testing.T) {
	whole := string(dnstap.StreamStart) + queryOne
	for cut := 1; cut < len(queryTwo); cut++ {
		path := filepath.Join(t.TempDir(), "queries")
		if err := os.WriteFile(path, []byte(whole+queryTwo[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, openStream(t, path), queryOne)
		checkStream(t, path, queryOne, queryOne)
	}
	for cut := range dnstap.StreamStart {
		path := filepath.Join(t.TempDir(), "queries")
		if err := os.WriteFile(path, dnstap.StreamStart[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, openStream(t, path), queryOne)
		checkStream(t, path, queryOne)
	}
	data := queryOne + response + queryTwo
	for n, want := range map[int]int{0: 0, 4: 0, len(queryOne): 1, len(queryOne) + len(response) - 1: 1,
		len(queryOne) + len(response) + 5: 1, len(data): 2} {
		path, w := written(t, whole+data[:n],
			metrics.Write{Size: int64(len(whole)), Length: len(data), Records: 2, Uncounted: true})
		if records, err := Recover(t.Context(), w); records != want || err != nil {
			t.Errorf("%d bytes: %d records, %v, want %d", n, records, err, want)
		}
		if info, err := os.Stat(path); err != nil {
			t.Error(err)
		} else if _, end, err := dnstap.Scan(strings.NewReader(data[:n])); err != nil || info.Size() != int64(len(whole))+end {
			t.Errorf("%d bytes: %d remain, %v", n, info.Size(), err)
		}
	}
}

// A write that is cut short, as by a full disk, counts complete records, and goes on where it ended.
func TestPartialFrames(t *testing.T) {
	data := []byte(queryOne + response + queryTwo + response)
	var s stream
	for n := range data {
		s = stream{enabled: true}
		partial := s.wrote(data, n)
		first := s.completed
		if rest := s.wrote(data[n:], len(data)-n-1); n < len(data)-1 {
			first += s.completed
			if _, end, _ := dnstap.Scan(bytes.NewReader(data[:len(data)-1])); rest != len(data)-1-int(end) || first != 2 {
				t.Fatalf("%d bytes and the rest: %d bytes remain, %d records", n, rest, first)
			}
		}
		if _, end, _ := dnstap.Scan(bytes.NewReader(data[:n])); partial != n-int(end) {
			t.Fatalf("%d bytes: %d of an incomplete frame", n, partial)
		}
	}
}

// Files with something else, and pipes, are refused, and stay as they are.
func TestNoStream(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "queries.json")
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStream(path, metrics.NewShard(0, 0)); !errors.Is(err, errNoStream) {
		t.Errorf("lines: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "{}\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := OpenStream("/dev/null", metrics.NewShard(0, 0)); !errors.Is(err, errStreamRegular) {
		t.Errorf("a device: %v", err)
	}
}
