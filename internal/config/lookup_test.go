package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// lookingUp puts a name server in the place of the host's.
func lookingUp(t *testing.T, found map[string]string) (asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	before := lookUpHost
	lookUpHost = func(host string) (netip.Addr, error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, host)
		if addr, ok := found[host]; ok {
			return netip.MustParseAddr(addr), nil
		}
		return netip.Addr{}, errors.New("no such host")
	}
	t.Cleanup(func() { lookUpHost = before })
	return func() []string {
		slices.Sort(all)
		return all
	}
}

func TestHostNamesAreLookedUpOnce(t *testing.T) {
	asked := lookingUp(t, map[string]string{"a.test": "127.0.0.1", "b.test": "::1"})
	f := written(t, `http: b.test:9514
listeners:
  - address: a.test:5001
  - address: a.test:5002
  - address: b.test:5001
  - address: 127.0.0.1:5003
`)
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"127.0.0.1:5001", "127.0.0.1:5002", "[::1]:5001", "127.0.0.1:5003"} {
		l := c.Listeners[i]
		if l.Resolved().String() != want || l.Engine().Address != want {
			t.Errorf("%s is %s, the engine's %s, want %s", l.Address, l.Resolved(), l.Engine().Address, want)
		}
	}
	if err := c.CheckReload(c); err != nil || c.HTTPResolved != "[::1]:9514" {
		t.Errorf("http at %s; %v", c.HTTPResolved, err)
	}
	if all := asked(); !slices.Equal(all, []string{"a.test", "b.test"}) {
		t.Errorf("looked up: %v", all)
	}
}

func TestAHostNameThatIsNotFound(t *testing.T) {
	asked := lookingUp(t, nil)
	f := written(t, "listeners:\n  - address: a.test:5001\n  - address: a.test:5002\n")
	_, err := f.Config()
	for _, want := range []string{`c.yaml:2:14: listeners[0].address: "a.test:5001": no such host`, `c.yaml:3:14: listeners[1].address: "a.test:5002": no such host`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if all := asked(); len(all) != 1 {
		t.Errorf("looked up: %v", all)
	}
}
