package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// Flags are the flags of serve with their texts.
type Flags struct {
	File string // of --config
	set  map[string]string
}

// Define defines --config, and the flags with the given names in their order. Without names,
// Define defines the flags of all settings, in groups.
func (f *Flags) Define(flags *pflag.FlagSet, usage string, names ...string) {
	f.set = make(map[string]string)
	flags.SortFlags = false
	flags.Var((*cli.FileName)(&f.File), "config", usage)
	define(f, flags, listenerSettings, names)
	define(f, flags, configSettings, names)
}

func define[T any](f *Flags, flags *pflag.FlagSet, settings []setting[T], names []string) {
	if len(names) > 0 {
		order := func(s setting[T]) int { return slices.Index(names, s.flag) }
		settings = slices.DeleteFunc(slices.Clone(settings), func(s setting[T]) bool { return order(s) < 0 })
		slices.SortFunc(settings, func(a, b setting[T]) int { return order(a) - order(b) })
	}
	for _, s := range settings {
		if s.flag == "" {
			continue
		}
		flags.Var(&flagValue[T]{s, s.init, f.set}, s.flag, s.usage)
		flag := flags.Lookup(s.flag)
		if s.isSwitch {
			flag.NoOptDefVal = "true"
		}
		if len(names) == 0 {
			cli.SetFlagGroup(flag, s.group)
		}
	}
}

// flagValue is the pflag.Value of a setting. Set checks the text, and keeps the text of the key in
// set.
type flagValue[T any] struct {
	setting[T]
	text string
	set  map[string]string
}

func (v *flagValue[T]) String() string { return v.text }

func (v *flagValue[T]) Type() string {
	if v.isSwitch {
		return "bool"
	}
	return "string"
}

// Completion returns the completion of the setting.
func (v *flagValue[T]) Completion() cli.Completion { return v.offer }

func (v *flagValue[T]) Set(text string) error {
	if v.fromFlag != nil {
		var err error
		if text, err = v.fromFlag(text); err != nil {
			return err
		}
	}
	if err := v.setting.set(new(T), text); err != nil {
		return err
	}
	if before, repeated := v.set[v.flag]; repeated && v.separator != "" {
		text = before + v.separator + text
	}
	v.text, v.set[v.flag] = text, text
	return nil
}

// Config returns the configuration of flags, file and environment, or all errors. A reload calls
// Config again.
func (f *Flags) Config() (*Config, error) {
	c := newConfig()
	errs := []error{c.readEnvironment()}
	if f.File != "" {
		errs = append(errs, c.readFile(f.File))
	} else {
		c.Listeners = []*Listener{NewListener()}
	}
	for _, name := range slices.Sorted(maps.Keys(f.set)) {
		flag, text := "--"+name, f.set[name]
		process, listener := c.scope(), new(Listener).scope()
		if one := process.withFlag(name); one != nil {
			errs = append(errs, process.set(one, flag, text))
			continue
		}
		one := listener.withFlag(name)
		if f.File != "" {
			err := cli.Usage(fmt.Errorf("%s: with --config, listeners are set in the file", flag))
			errs = append(errs, cli.WithHint(err, fmt.Sprintf("set %s in %s", one.key, f.File)))
			continue
		}
		errs = append(errs, c.Listeners[0].scope().set(one, flag, text))
	}
	if err := cli.Join(append(errs, c.check())...); err != nil {
		return nil, err
	}
	return c, nil
}
