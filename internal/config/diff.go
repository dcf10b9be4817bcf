package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/hostport"
)

// CheckReload returns an error if next differs from c in a setting that only a restart can change.
func (c *Config) CheckReload(next *Config) error {
	if was, is := len(c.Listeners), len(next.Listeners); was != is {
		return fmt.Errorf("listeners: was %d and is %d: a change needs a restart", was, is)
	}
	if err := checkReload(c.scope(), next.scope(), c.effective(), next.effective()); err != nil {
		return err
	}
	for i, l := range c.Listeners {
		n := next.Listeners[i]
		if err := checkReload(l.scope(), n.scope(), l.effective(), n.effective()); err != nil {
			return err
		}
	}
	return nil
}

// checkReload compares the values of the settings, and where these differ the effective values.
func checkReload[T any](old, next scope[T], oldEffective, nextEffective *T) error {
	for _, s := range old.settings {
		if s.live || reflect.DeepEqual(s.get(old.of), s.get(next.of)) ||
			reflect.DeepEqual(s.get(oldEffective), s.get(nextEffective)) {
			continue
		}
		if s.hasSecrets {
			return fmt.Errorf("%s: a change needs a restart", next.origins.position(s.key))
		}
		return fmt.Errorf("%s: was %q and is %q: a change needs a restart",
			next.origins.position(s.key), old.text(s), next.text(s))
	}
	return nil
}

// text is the text of a setting, or its default.
func (s scope[T]) text(one setting[T]) string {
	if s.origins.IsSet(one.key) {
		return s.origins.keys[one.key].text
	}
	return one.init
}

// effective returns c with effective values, which are equal for all spellings of a value.
func (c *Config) effective() *Config {
	e := *c
	e.HTTP, e.Takeover = HTTPSocket(c.HTTPResolved), Absolute(c.Takeover)
	e.Spool.Path, e.secretFile = Absolute(c.Spool.Path), Absolute(c.secretFile)
	return &e
}

// effective returns l with effective values, which are equal for all spellings of a value, also for
// a default and the same value in the file.
func (l *Listener) effective() *Listener {
	e := *l
	e.CPUs = l.ShardCPUs()
	e.Shards = len(e.CPUs)
	e.To = slices.Sorted(slices.Values(l.To))
	if path, isFile := strings.CutPrefix(l.Output, "file:"); isFile {
		e.Output = "file:" + Absolute(path)
	}
	switch at := l.Resolved(); {
	case at.Port() == 0: // the kernel chooses a port
	case l.DualStack():
		e.Address = fmt.Sprintf(":%d", at.Port())
	default:
		e.Address = at.String()
	}
	return &e
}

// HTTPSocket returns the effective form of an HTTP address. All unspecified IP addresses mean
// IPv6 and IPv4 (net.Listen). HTTPSocket asks no name server.
func HTTPSocket(address string) string {
	at, _ := hostport.Parse("tcp", address)
	switch {
	case !at.IP.IsValid() || at.Port == 0:
		return address
	case at.IP.IsUnspecified():
		return fmt.Sprintf(":%d", at.Port)
	}
	return at.AddrPort().String()
}

// Absolute returns a path from the root, and "" for "".
func Absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}
