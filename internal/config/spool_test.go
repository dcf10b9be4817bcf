package config

import (
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

func TestSpool(t *testing.T) {
	useFakeTargets(t)
	t.Setenv(stateVariable, "/s:/t")
	defaults := Spool{Path: "/s/spool", MaxSize: 8 << 30, WhenFull: "wait", Sync: Sync{Interval: time.Second}}
	for _, c := range []struct {
		text string
		want func(*Spool)
	}{
		{"", func(*Spool) {}},
		{"spool: /x", func(s *Spool) { s.Path = "/x" }},
		{"spool: {path: x}", func(s *Spool) { s.Path = "x" }},
		{"spool: {max_size: 16MiB, segment_size: 4MiB}", func(s *Spool) { s.MaxSize, s.SegmentSize = 16<<20, 4<<20 }},
		{"spool: {when_full: drop_oldest}", func(s *Spool) { s.WhenFull = "drop_oldest" }},
		{"spool: {sync: none}", func(s *Spool) { s.Sync = Sync{} }},
		{"spool: {sync: segment}", func(s *Spool) { s.Sync = Sync{Segments: true} }},
		{"spool: {sync: 100ms}", func(s *Spool) { s.Sync = Sync{Interval: 100 * time.Millisecond} }},
	} {
		want := defaults
		c.want(&want)
		got := read(t, c.text+"\nlisteners: [{to: 'tcp://h:1'}]\n").Spool
		if got != want {
			t.Errorf("%s: %+v, want %+v", c.text, got, want)
		}
	}
	c, err := parsed("--to", "tcp://h:1", "--spool", "/y")
	if err != nil || c.Spool.Path != "/y" {
		t.Errorf("--spool /y: %v, %v", c, err)
	}
}

func TestBadSpool(t *testing.T) {
	useFakeTargets(t)
	for _, c := range []struct{ text, want, hint string }{
		{"spool: ''", ":1:8: spool.path: the path is empty", ""},
		{"spool:", ":1:1: spool: must be keys with values", "spool: {max_size: 8GiB, when_full: wait, sync: 1s}"},
		{"spool: [/x]", ":1:8: spool: must be keys with values", ""},
		{"spool.path: /x", ":1:1: spool.path: write spool: and", ""},
		{"spool: {dir: /x}", ":1:9: spool.dir: unknown key", ""},
		{"spool: {max_size: 1MiB}", ":1:19: spool.max_size: 1MiB is less than 16MiB", ""},
		{"spool: {max_size: 8G}", `:1:19: spool.max_size: "8G" is not a size`, "max_size: 8GiB"},
		{"spool: {segment_size: 1000}", ":1:23: spool.segment_size: 1000 is less than 1MiB", ""},
		{"spool: {segment_size: 2GiB}", ":1:23: spool.segment_size: 2GiB is more than 1GiB", ""},
		{"spool: {segment_size: 5MiB, max_size: 19MiB}", ":1:23: spool.segment_size: 5MiB is more than a quarter of max_size, 19MiB", ""},
		{"spool: {when_full: drop}", `:1:20: spool.when_full: "drop" is not one of wait, drop_oldest`, "when_full: drop_oldest"},
		{"spool: {sync: 5}", `:1:15: spool.sync: "5" is not none, segment, or a duration such as 1s`, "sync: 5s"},
		{"spool: {sync: segments}", `:1:15: spool.sync: "segments" is not none`, "sync: segment"},
		{"spool: {sync: 0}", ":1:15: spool.sync: 0 is less than 100ms", ""},
	} {
		_, err := written(t, c.text+"\nlisteners: [{to: 'tcp://h:1'}]\n").Config()
		if err == nil || !strings.Contains(err.Error(), c.want) || len(cli.Separate(err)) != 1 || !strings.Contains(cli.Hint(err), c.hint) {
			t.Errorf("%s: %v, hint %q\nwant %s, hint %s", c.text, err, cli.Hint(err), c.want, c.hint)
		}
	}
	_, err := written(t, "spool: {sync: none}\nlisteners: [{}]\n").Config()
	if want := ":1:15: spool.sync: without effect: no listener has targets"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTheDefaultSpool(t *testing.T) {
	useFakeTargets(t)
	for _, c := range []struct{ service, user, home, want string }{
		{"/s", "/u", "/h", "/s/spool"},
		{"/s:/t", "", "", "/s/spool"},
		{"", "/u", "/h", "/u/udpshard"},
		{"", "u", "/h", "/h/.local/state/udpshard"},
		{"", "", "/h", "/h/.local/state/udpshard"},
		{"", "u", "", ""},
		{"", "", "", ""},
	} {
		t.Setenv(stateVariable, c.service)
		t.Setenv("XDG_STATE_HOME", c.user)
		t.Setenv("HOME", c.home)
		if got, err := parsed(); err != nil || got.Spool.Path != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
		got, err := parsed("--to", "tcp://h:1")
		switch {
		case c.want != "" && (err != nil || got.Spool.Path != c.want):
			t.Errorf("%+v: %v, %v", c, got, err)
		case c.want == "" && (err == nil || !strings.Contains(err.Error(), "spool.path: there is no default") || !strings.Contains(cli.Hint(err), "--spool DIR")):
			t.Errorf("%+v: %v, hint %q", c, err, cli.Hint(err))
		}
	}
}
