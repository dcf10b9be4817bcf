package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/regular"
)

const (
	// mostConfig is how many bytes a configuration file may have: 60,000 listeners
	// of 256 bytes each.
	mostConfig = 16 << 20
	// configTimeout is how long reading it may take. A local file takes
	// milliseconds; a file server that is away, for ever.
	configTimeout = 10 * time.Second
)

// readFile reads the configuration file into c, and returns all that is wrong with it. Unknown
// keys are errors.
func (c *Config) readFile(path string) error {
	data, err := regular.Read(path, mostConfig, configTimeout)
	if err != nil {
		return cli.Config(fmt.Errorf("--config: %w", err))
	}
	d := &document{path: path, anchors: make(map[string]ast.Node)}
	root, err := d.parse(data)
	if err != nil {
		return err
	}
	top, err := d.entries(root, "the file")
	errs := []error{err}
	var settings, listeners []entry
	list, none := start, err == nil
	for _, e := range top {
		var inner []entry
		var err error
		if e.key == "listeners" {
			list = e.at
			listeners, err = d.items(e)
			none = err == nil
		} else {
			inner, err = d.flatten(e, "", "log")
		}
		errs = append(errs, err)
		settings = append(settings, inner...)
	}
	errs = append(errs, applyAll(d, configSettings, c, c.given, make(map[string]bool), "", settings, "listeners"))
	for _, item := range listeners {
		mapping, err := d.entries(item.value, item.key)
		var keys []entry
		for _, e := range mapping {
			inner, err := d.flatten(e, item.key+".", ratePrefix)
			errs = append(errs, err)
			keys = append(keys, inner...)
		}
		l := NewListener()
		l.at = d.place(item.at, item.key)
		if err != nil { // which keys it has is not known
			l.spoilt["address"], l.spoilt["protocol"] = true, true
		}
		errs = append(errs, err, applyAll(d, listenerSettings, l, l.given, l.spoilt, item.key+".", keys))
		c.Listeners = append(c.Listeners, l)
	}
	if len(c.Listeners) == 0 && none {
		errs = append(errs, d.wrong(list, "listeners", "there are none"))
	}
	return cli.Join(errs...)
}

// flatten returns e, or if its key is name the entries of its mapping, with their keys behind the
// name and a dot. Errors have the keys behind prefix.
func (d *document) flatten(e entry, prefix, name string) ([]entry, error) {
	if rest, dotted := strings.CutPrefix(e.key, name+"."); dotted { // as the documentation calls them
		return nil, d.wrong(e.at, prefix+e.key, "write %s: and %s: below it, indented", name, rest)
	}
	if e.key != name {
		return []entry{e}, nil
	}
	inner, err := d.entries(e.value, prefix+name)
	if _, isMap := e.value.(ast.MapNode); err != nil && !isMap {
		err = cli.WithHint(err, map[string]string{
			"log":      "log: {level: info, format: auto}",
			ratePrefix: ratePrefix + ": {ipv4: 32, ipv6: 64}",
		}[name])

	}
	for i := range inner {
		inner[i].key = name + "." + inner[i].key
	}
	return inner, err
}

// applyAll applies entries in the order in which they stand in the file. It returns the errors of
// all of them, and notes their keys in spoilt.
func applyAll[T any](d *document, settings []setting[T], to *T, given map[string]source, spoilt map[string]bool, prefix string, entries []entry, others ...string) error {
	var errs []error
	for _, e := range entries {
		match := func(s setting[T]) bool { return s.key == e.key }
		i := slices.IndexFunc(settings, match)
		if i < 0 {
			known := append(keyNames(settings), others...)
			err := d.wrong(e.at, prefix+e.key, "unknown key: use one of %s", strings.Join(known, ", "))
			if hint := keyHint(e.key, known, settings); hint != "" {
				err = cli.WithHint(err, hint)
			}
			errs = append(errs, err)
			continue
		}
		text, err := d.text(e.value, settings[i].list)
		if err != nil {
			err = d.located(e.place(), prefix+e.key, err)
		} else {
			err = apply(settings, to, given, match, source{d.place(e.place(), prefix+e.key), text})
		}
		if err != nil {
			errs = append(errs, err)
			spoilt[e.key] = true
		}
	}
	return cli.Join(errs...)
}

// keyHint says which key was probably meant by one that is unknown in its place: one of the known
// ones, that of a flag, or one that belongs elsewhere; else "".
func keyHint[T any](key string, known []string, settings []setting[T]) string {
	for _, s := range settings {
		if s.flag != "" && strings.ReplaceAll(key, "_", "-") == s.flag {
			return cli.DidYouMean(s.key)
		}
	}
	if meant := cli.Nearest(strings.ReplaceAll(key, "-", "_"), known); meant != "" {
		return cli.DidYouMean(meant)
	}
	switch {
	case slices.Contains(keyNames(listenerSettings), key):
		return key + " is a key of a listener: write it below listeners"
	case slices.Contains(append(keyNames(configSettings), "log"), key):
		return key + " is a key of the file: write it beside listeners"
	}
	return ""
}

func keyNames[T any](settings []setting[T]) []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
	return names
}
