package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// document is the shape of the configuration file. What keys there are in a
// listener, and what their values may be, the settings say.
type document struct {
	HTTP          *value           `yaml:"http"`
	StatsInterval *value           `yaml:"stats_interval"`
	DrainTimeout  *value           `yaml:"drain_timeout"`
	Log           map[string]value `yaml:"log"`
	Listeners     []listenerKeys   `yaml:"listeners"`
}

type listenerKeys map[string]value

// value is a scalar, or a list of scalars as if they were written with commas
// between them, and where it stands.
type value struct {
	text string
	at   *token.Position
	err  error
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (v *value) UnmarshalYAML(node ast.Node) error {
	v.at = node.GetToken().Position
	switch node := node.(type) {
	case *ast.NullNode:
	case *ast.LiteralNode:
		v.text = node.Value.Value
	case ast.ScalarNode:
		v.text = node.GetToken().Value
	case *ast.SequenceNode:
		items := make([]string, len(node.Values))
		for i, item := range node.Values {
			if _, ok := item.(ast.ScalarNode); !ok {
				v.err = errors.New("only plain values can be listed here")
			}
			items[i] = item.GetToken().Value
		}
		v.text = strings.Join(items, ",")
	default:
		v.err = errors.New("a plain value is wanted here")
	}
	return nil
}

// readFile reads the configuration file into c. Unknown keys are errors.
func (c *config) readFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	var doc document
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&doc); err != nil {
		return usageError{yamlError(path, err)}
	}
	top := map[string]value{}
	for key, v := range map[string]*value{"http": doc.HTTP, "stats_interval": doc.StatsInterval, "drain_timeout": doc.DrainTimeout} {
		if v != nil {
			top[key] = *v
		}
	}
	for key, v := range doc.Log {
		top["log."+key] = v
	}
	if err := applyAll(configSettings, c, c.given, path, "", top); err != nil {
		return err
	}
	for i, keys := range doc.Listeners {
		l := newListener()
		if err := applyAll(listenerSettings, l, l.given, path, fmt.Sprintf("listeners[%d].", i), keys); err != nil {
			return err
		}
		c.listeners = append(c.listeners, l)
	}
	if len(c.listeners) == 0 {
		return usageError{fmt.Errorf("%s: listeners: there are none", path)}
	}
	return nil
}

// applyAll applies keys in the order in which they stand in the file.
func applyAll[T any](settings []setting[T], to *T, given map[string]source, path, prefix string, keys map[string]value) error {
	order := slices.SortedFunc(maps.Keys(keys), func(a, b string) int {
		at, bt := keys[a].at, keys[b].at
		if at.Line != bt.Line {
			return at.Line - bt.Line
		}
		return at.Column - bt.Column
	})
	for _, key := range order {
		v := keys[key]
		at := source{fmt.Sprintf("%s:%d:%d: %s%s", path, v.at.Line, v.at.Column, prefix, key), v.text}
		err := v.err
		if err == nil {
			err = apply(settings, to, given, func(s setting[T]) bool { return s.key == key }, at)
		}
		if errors.Is(err, errUnknown) {
			err = fmt.Errorf("unknown key: use one of %s", keyNames(settings))
		}
		if err != nil && !errors.As(err, new(usageError)) {
			err = usageError{fmt.Errorf("%s: %w", at.place, err)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func keyNames[T any](settings []setting[T]) string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
	return strings.Join(names, ", ")
}

// yamlError names the place of what the decoder finds wrong.
func yamlError(path string, err error) error {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	at := located.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", path, at.Line, at.Column, located.GetMessage())
}
