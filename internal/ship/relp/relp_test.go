package relp

import (
	"slices"
	"strings"
	"testing"
)

// Records of any bytes arrive as they are, in one session, and the session ends with close.
func TestSend(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url())
	served := make(chan []string, 1)
	go func() { served <- f.acceptOpen().serve() }()
	all := []string{"a", "two\nlines\n", "nul \x00 and \xff", " ", "\n", strings.Repeat("8 KiB...", 1<<10)}
	for _, batch := range [][]string{all[:1], all[1:]} {
		if err := await(t, send(t, target, batch...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-served; !slices.Equal(got, all) {
		t.Errorf("%q", got)
	}
}
