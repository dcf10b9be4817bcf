package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/udpshard/udpshard/internal/cli"
)

// document is a configuration file's syntax tree. It is walked rather than
// decoded into a structure: so every complaint has a place and a key, also
// one about what is missing.
type document struct {
	path    string
	anchors map[string]ast.Node
	depth   int // of merges, which can go round in circles

	circular bool // they do
}

// start is where what is absent from a file could stand.
var start = &token.Position{Line: 1, Column: 1}

// entry is a key and its value, without anchors, aliases and tags.
type entry struct {
	key   string
	at    *token.Position // of the key
	value ast.Node
}

// place returns where a bad value stands: an absent one where its key does.
func (e entry) place() *token.Position {
	if e.value.Type() == ast.NullType {
		return e.at
	}
	return position(e.value)
}

// position returns where a node begins; the token of a mapping with one key
// to a line is its first colon.
func position(node ast.Node) *token.Position {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position
	}
	return node.GetToken().Position
}

func (d *document) place(at *token.Position, key string) string {
	return fmt.Sprintf("%s:%d:%d: %s", d.path, at.Line, at.Column, key)
}

func (d *document) wrong(at *token.Position, key, format string, args ...any) error {
	return cli.Config(fmt.Errorf("%s: %w", d.place(at, key), fmt.Errorf(format, args...)))
}

// located adds the place to an error that has none.
func (d *document) located(at *token.Position, key string, err error) error {
	if cli.IsConfig(err) {
		return err
	}
	return d.wrong(at, key, "%w", err)
}

// parse returns the file's only document.
func (d *document) parse(data []byte) (ast.Node, error) {
	const byteOrderMark = "\xef\xbb\xbf"
	parsed, err := parser.ParseBytes(bytes.TrimPrefix(data, []byte(byteOrderMark)), 0)
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		at := located.GetToken().Position
		return nil, cli.Config(fmt.Errorf("%s:%d:%d: %s", d.path, at.Line, at.Column, located.GetMessage()))
	}
	if err != nil {
		return nil, cli.Config(fmt.Errorf("%s: %w", d.path, err))
	}
	var root ast.Node
	for _, doc := range parsed.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.DirectiveType || doc.Body.Type() == ast.CommentType:
		case root != nil:
			at := position(doc.Body)
			return nil, cli.Config(fmt.Errorf("%s:%d:%d: a second document: the file can only have one", d.path, at.Line, at.Column))
		default:
			root = doc.Body
		}
	}
	if root == nil {
		return nil, d.wrong(start, "the file is empty", "it needs the key listeners")
	}
	ast.Walk(d, root)
	return d.resolve(root)
}

// Visit implements ast.Visitor: it collects anchors.
func (d *document) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok {
		d.anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return d
}

// maxDepth is more than anybody nests or merges on purpose.
const maxDepth = 32

// resolve takes off a node what stands before its value, and follows aliases.
func (d *document) resolve(node ast.Node) (ast.Node, error) {
	at := node.GetToken().Position
	for range maxDepth {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.MappingKeyNode: // ? key
			node = n.Value
		case *ast.AliasNode:
			name := n.Value.GetToken().Value
			node = d.anchors[name]
			if node == nil {
				return nil, d.wrong(at, "*"+name, "there is no &%s", name)
			}
		default:
			return node, nil
		}
	}
	return nil, d.wrong(at, "aliases", "they go round in circles")
}

// entries returns what a mapping holds, in order, also beside an error. A merge key (<<) adds what
// is not set beside it. what names the mapping in errors.
func (d *document) entries(node ast.Node, what string) ([]entry, error) {
	at := position(node)
	if d.depth++; d.depth > maxDepth || d.circular { // once: each way round would be an error
		d.circular = true
		return nil, d.wrong(at, what, "merge keys go round in circles")
	}
	defer func() { d.depth-- }()
	mapping, ok := node.(ast.MapNode)
	if !ok {
		if node.Type() == ast.NullType && what == "log" {
			return nil, nil
		}
		return nil, d.wrong(at, what, "keys with values are wanted here")
	}
	var errs []error
	var own, merged []entry
	for pair := mapping.MapRange(); pair.Next(); {
		value, err := d.resolve(pair.Value())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if pair.Key().IsMergeKey() {
			more, err := d.merge(value, what)
			errs = append(errs, err)
			merged = append(merged, more...)
			continue
		}
		key, err := d.resolve(pair.Key())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name, err := scalar(key)
		if err != nil {
			errs = append(errs, d.wrong(key.GetToken().Position, what, "a key: %w", err))
			continue
		}
		own = append(own, entry{name, key.GetToken().Position, value})
	}
	for _, e := range merged {
		if !slices.ContainsFunc(own, func(o entry) bool { return o.key == e.key }) {
			own = append(own, e)
		}
	}
	return own, cli.Join(errs...)
}

// merge returns the entries of a merge key's mapping or list of mappings, of
// which the first that has a key wins.
func (d *document) merge(node ast.Node, what string) ([]entry, error) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return d.entries(node, what)
	}
	var all []entry
	var errs []error
	for _, item := range list.Values {
		mapping, err := d.resolve(item)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		more, err := d.entries(mapping, what)
		errs = append(errs, err)
		all = append(all, more...)
	}
	return all, cli.Join(errs...)
}

// items returns a list's items, their keys numbered.
func (d *document) items(e entry) ([]entry, error) {
	if e.value.Type() == ast.NullType {
		return nil, nil
	}
	list, ok := e.value.(*ast.SequenceNode)
	if !ok {
		return nil, d.wrong(e.place(), e.key, "a list is wanted here, with - before each item")
	}
	var items []entry
	var errs []error
	for i, item := range list.Values {
		value, err := d.resolve(item)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		items = append(items, entry{fmt.Sprintf("%s[%d]", e.key, i), position(value), value})
	}
	return items, cli.Join(errs...)
}

// text returns a scalar as it was written, and where a list may stand a list
// of scalars as if they were written with commas between them.
func (d *document) text(node ast.Node, mayBeList bool) (string, error) {
	list, ok := node.(*ast.SequenceNode)
	if !ok || !mayBeList {
		return scalar(node)
	}
	if len(list.Values) == 0 {
		return "", errors.New("the list is empty")
	}
	parts := make([]string, len(list.Values))
	for i, item := range list.Values {
		value, err := d.resolve(item)
		if err == nil {
			parts[i], err = scalar(value)
		}
		if err != nil {
			return "", err
		}
	}
	return strings.Join(parts, ","), nil
}

func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("a plain value is wanted here")
}
