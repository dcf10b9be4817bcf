package config

import (
	"fmt"
	"reflect"
)

// CheckReload returns an error if next differs in what only a restart can change.
func (c *Config) CheckReload(next *Config) error {
	if len(next.Listeners) != len(c.Listeners) {
		return fmt.Errorf("listeners: there were %d and now there are %d: that needs a restart", len(c.Listeners), len(next.Listeners))
	}
	if err := sameSettings(configSettings, c, next, c.given, next.given, next.place); err != nil {
		return err
	}
	for i, l := range c.Listeners {
		n := next.Listeners[i]
		if err := sameSettings(listenerSettings, l, n, l.given, n.given, n.place); err != nil {
			return err
		}
	}
	return nil
}

// sameSetting says whether two spellings are of the same value.
func sameSetting[T any](s setting[T], a, b string) bool {
	var first, second T
	return a == b || a != "" && b != "" && s.set(&first, a) == nil && s.set(&second, b) == nil && reflect.DeepEqual(first, second)
}

func sameSettings[T any](settings []setting[T], old, next *T, before, after map[string]source, place func(key string) string) error {
	for _, s := range settings {
		if s.live {
			continue
		}
		was, is := s.init, s.init
		if at, ok := before[s.key]; ok {
			was = at.text
		}
		if at, ok := after[s.key]; ok {
			is = at.text
		}
		if !sameSetting(s, was, is) && (s.means == nil || !reflect.DeepEqual(s.means(old), s.means(next))) {
			return fmt.Errorf("%s: was %q and is %q: that needs a restart", place(s.key), was, is)
		}
	}
	return nil
}
