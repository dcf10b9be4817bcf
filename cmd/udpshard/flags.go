package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// flags are serve's flags as they were given.
type flags struct {
	file string
	set  map[string]string
}

// addFlags defines a flag for each setting that has one.
func addFlags[T any](f *flags, set *pflag.FlagSet, settings []setting[T]) {
	for _, s := range settings {
		if s.flag == "" {
			continue
		}
		check := func(text string) error { return s.set(new(T), text) }
		set.Var(&flagValue{name: s.flag, text: s.init, isSwitch: s.bare, isList: s.list, check: check, given: f.set}, s.flag, s.usage)
		if s.bare {
			set.Lookup(s.flag).NoOptDefVal = "true"
		}
	}
}

// fileName is a pflag.Value. An empty one, as of a variable that is not set,
// must not mean that there is no file.
type fileName string

func (n *fileName) String() string { return string(*n) }
func (n *fileName) Type() string   { return "string" }

func (n *fileName) Set(text string) error {
	if text == "" {
		return errors.New("it names no file")
	}
	*n = fileName(text)
	return nil
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

// config makes the configuration of flags and file, or returns all that is wrong with it. It is
// called again for each reload.
func (f *flags) config() (*config, error) {
	c := newConfig()
	errs := []error{c.readEnvironment()}
	if f.file != "" {
		errs = append(errs, c.readFile(f.file))
	} else {
		c.listeners = []*listener{newListener()}
	}
	for _, name := range slices.Sorted(maps.Keys(f.set)) {
		at := source{"--" + name, f.set[name]}
		err := apply(configSettings, c, c.given, func(s setting[config]) bool { return s.flag == name }, at)
		if errors.Is(err, errUnknown) {
			if f.file != "" {
				errs = append(errs, cli.WithHint(cli.Usage(fmt.Errorf("--%s: listeners are set in the file where there is --config", name)),
					"move it into "+f.file))
				continue
			}
			l := c.listeners[0]
			err = apply(listenerSettings, l, l.given, func(s setting[listener]) bool { return s.flag == name }, at)
		}
		errs = append(errs, err)
	}
	if err := cli.Join(append(errs, c.check())...); err != nil {
		return nil, err
	}
	return c, nil
}

func (f *flags) define(cmd *cobra.Command) {
	f.set = make(map[string]string)
	set := cmd.Flags()
	set.SortFlags = false
	set.Var((*fileName)(&f.file), "config", "YAML `FILE` with any number of listeners, instead of the listener flags")
	addFlags(f, set, listenerSettings)
	addFlags(f, set, configSettings)
}
