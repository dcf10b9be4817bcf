package loadgen

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestText(t *testing.T) {
	const now = "2026-11-20T10:00:00.000001Z"
	for _, c := range []struct {
		name     string
		config   Config
		flow     int
		seq      uint64
		want     string
		numbered bool
	}{
		{"default", Config{}, 3, 17, "<134>1 " + now + " flow3 udpshard - - - run=k flow=3 n=17", true},
		{"padded", Config{Size: 100}, 3, 17, "<134>1 " + now + " flow3 udpshard - - - run=k flow=3 n=17 " + strings.Repeat("x", 26), true},
		{"token alone", Config{Size: 40}, 3, 17, "run=k flow=3 n=17 " + strings.Repeat("x", 22), true},
		{"too small for a token", Config{Size: 9}, 3, 17, "xxxxxxxxx", false},
		{"template", Config{Lines: []string{"{run}/{flow}/{seq}/{time}/{}{other}"}}, 3, 17, "k/3/17/" + now + "/{}{other}", false},
		{"lines in turn", Config{Lines: []string{"a", "b", "run={run} flow={flow} n={seq}"}}, 1, 3, "b", false},
		{"next flow, next line", Config{Lines: []string{"a", "b", "c"}}, 2, 3, "c", false},
		{"token in a template", Config{Lines: []string{"run={run} flow={flow} n={seq}{flow}"}}, 0, 2, "run=k flow=0 n=20", true},
		{"GSO", Config{Lines: []string{"a", "bcd"}, GSO: 2}, 0, 0, "a x", false},
	} {
		c.config.Run = "k"
		setDefault(&c.config.Flows, 16)
		setDefault(&c.config.GSO, 1)
		text, err := newText(c.config)
		if err != nil {
			t.Fatal(err)
		}
		got := string(text.append([]byte("before "), c.flow, c.seq, []byte(now)))
		if got != "before "+c.want || text.Numbered != c.numbered {
			t.Errorf("%s: %q, numbered %v", c.name, got, text.Numbered)
		}
	}
}

func TestTextOfConstantSizeStaysSo(t *testing.T) {
	text, err := newText(Config{Run: "k", Flows: 2000, GSO: 4})
	if err != nil {
		t.Fatal(err)
	}
	now := appendTime(nil, time.Now())
	for _, seq := range []uint64{0, 9, 10, 9_999_999_999} {
		if n := len(text.append(nil, 1999, seq, now)); n != text.size {
			t.Errorf("number %d: %d bytes, not %d", seq, n, text.size)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for field, c := range map[string]Config{
		"To":       {To: ":5514"},
		"To ":      {To: "127.0.0.1"},
		"To  ":     {To: "0.0.0.0:5514"},
		"To   ":    {To: "127.0.0.1:0"},
		"Flows":    {Flows: -1},
		"Batch":    {Batch: 1025},
		"Threads":  {Threads: 100_000},
		"CPUs":     {CPUs: []int{8191}},
		"GSO":      {GSO: 129},
		"GSO ":     {GSO: 100, Size: 1400},
		"Size":     {Size: 70_000},
		"Size ":    {Size: 5, Lines: []string{"longer"}},
		"Rate":     {Rate: -1},
		"Heavy":    {Heavy: 1.5},
		"Duration": {Duration: -1},
		"Lines":    {Lines: []string{strings.Repeat("x", 65_508)}},
	} {
		if c.To == "" {
			c.To = "127.0.0.1:5514"
		}
		_, _, err := c.Check()
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	to, numbered, err := Config{To: "localhost:5514"}.Check()
	if err != nil || !numbered || !to.Addr().IsLoopback() {
		t.Errorf("%s, %v, %v", to, numbered, err)
	}
}
