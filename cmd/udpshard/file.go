package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// readFile reads the configuration file into c. Unknown keys are errors.
func (c *config) readFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return configError{fmt.Errorf("--config: %w", err)}
	}
	d := &document{path: path, anchors: make(map[string]ast.Node)}
	root, err := d.parse(data)
	if err != nil {
		return err
	}
	top, err := d.entries(root, "the file")
	if err != nil {
		return err
	}
	var settings, listeners []entry
	list := start
	for _, e := range top {
		var inner []entry
		switch {
		case e.key == "listeners":
			list = e.at
			listeners, err = d.items(e)
		case e.key == "log":
			inner, err = d.entries(e.value, "log")
			for i := range inner {
				inner[i].key = "log." + inner[i].key
			}
		case strings.HasPrefix(e.key, "log."): // as the documentation calls them
			err = d.wrong(e.at, e.key, "write log: and %s: below it, indented", strings.TrimPrefix(e.key, "log."))
		default:
			inner = []entry{e}
		}
		if err != nil {
			return err
		}
		settings = append(settings, inner...)
	}
	if err := applyAll(d, configSettings, c, c.given, "", settings, "listeners"); err != nil {
		return err
	}
	for _, item := range listeners {
		keys, err := d.entries(item.value, item.key)
		if err != nil {
			return err
		}
		l := newListener()
		l.at = d.place(item.at, item.key)
		if err := applyAll(d, listenerSettings, l, l.given, item.key+".", keys); err != nil {
			return err
		}
		c.listeners = append(c.listeners, l)
	}
	if len(c.listeners) == 0 {
		return d.wrong(list, "listeners", "there are none")
	}
	return nil
}

// applyAll applies entries in the order in which they stand in the file.
func applyAll[T any](d *document, settings []setting[T], to *T, given map[string]source, prefix string, entries []entry, others ...string) error {
	for _, e := range entries {
		match := func(s setting[T]) bool { return s.key == e.key }
		i := slices.IndexFunc(settings, match)
		if i < 0 {
			return d.wrong(e.at, prefix+e.key, "unknown key: use one of %s", strings.Join(append(keyNames(settings), others...), ", "))
		}
		text, err := d.text(e.value, settings[i].list)
		if err != nil {
			return d.located(e.place(), prefix+e.key, err)
		}
		at := source{d.place(e.place(), prefix+e.key), text}
		if err := apply(settings, to, given, match, at); err != nil {
			return err
		}
	}
	return nil
}

func keyNames[T any](settings []setting[T]) []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
	return names
}
