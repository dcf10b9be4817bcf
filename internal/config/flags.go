package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// Flags are serve's flags as they were given.
type Flags struct {
	File string
	set  map[string]string
}

// addFlags defines a flag for each setting that has one.
func addFlags[T any](f *Flags, set *pflag.FlagSet, settings []setting[T]) {
	for _, s := range settings {
		if s.flag == "" {
			continue
		}
		check := func(text string) error { return s.set(new(T), text) }
		set.Var(&flagValue{name: s.flag, text: s.init, isSwitch: s.isSwitch, isList: s.isList, check: check, given: f.set}, s.flag, s.usage)
		if s.isSwitch {
			set.Lookup(s.flag).NoOptDefVal = "true"
		}
	}
}

// flagValue is a pflag.Value that keeps its text.
type flagValue struct {
	name, text string
	isSwitch   bool
	isList     bool // given again, it says more
	check      func(string) error
	given      map[string]string
}

func (v *flagValue) String() string { return v.text }
func (v *flagValue) Type() string {
	if v.isSwitch {
		return "bool"
	}
	return "string"
}

func (v *flagValue) Set(text string) error {
	if err := v.check(text); err != nil {
		return err
	}
	if before, again := v.given[v.name]; again && v.isList {
		text = before + "," + text
	}
	v.text, v.given[v.name] = text, text
	return nil
}

// Config makes the configuration of flags and file, or returns all that is wrong with it. It is
// called again for each reload.
func (f *Flags) Config() (*Config, error) {
	c := newConfig()
	errs := []error{c.readEnvironment()}
	if f.File != "" {
		errs = append(errs, c.readFile(f.File))
	} else {
		c.Listeners = []*Listener{NewListener()}
	}
	for _, name := range slices.Sorted(maps.Keys(f.set)) {
		process := c.scope()
		if one := process.withFlag(name); one != nil {
			errs = append(errs, process.set(one, "--"+name, f.set[name]))
		} else if f.File != "" {
			err := cli.Usage(fmt.Errorf("--%s: listeners are set in the file where there is --config", name))
			errs = append(errs, cli.WithHint(err, "move it into "+f.File))
		} else {
			listener := c.Listeners[0].scope()
			errs = append(errs, listener.set(listener.withFlag(name), "--"+name, f.set[name]))
		}
	}
	if err := cli.Join(append(errs, c.check())...); err != nil {
		return nil, err
	}
	return c, nil
}

// Define defines --config and the flags with these names, in this order; without names, the flags
// of all settings.
func (f *Flags) Define(set *pflag.FlagSet, usage string, names ...string) {
	f.set = make(map[string]string)
	set.SortFlags = false
	set.Var((*cli.FileName)(&f.File), "config", usage)
	addFlags(f, set, named(listenerSettings, names))
	addFlags(f, set, named(configSettings, names))
}

// named returns the settings whose flags have these names, in this order, or all without names.
func named[T any](settings []setting[T], names []string) (some []setting[T]) {
	if len(names) == 0 {
		return settings
	}
	for _, name := range names {
		for _, s := range settings {
			if s.flag == name {
				some = append(some, s)
			}
		}
	}
	return some
}
