package config

import (
	"bytes"
	"cmp"
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

// document makes values of a YAML file, and collects all errors. The decoder of goccy/go-yaml v1.19
// has limits: it returns the first error only, and a random key of several unknown keys; keys of a
// merge override keys in front of the merge; an empty value (http:) is the same as no key.
type document struct {
	path    string
	anchors map[string]*value // complete values only
	depth   int
	errs    []located
}

// located is an error with a position in the file.
type located struct {
	error
	at *token.Position
}

// value is a value of the file, without anchors, aliases, tags and merge keys.
type value struct {
	kind  kind
	at    *token.Position
	text  string
	list  []*value
	pairs []pair
}

// kind is the kind of a value. The error of an unusable value is reported already.
type kind int

const (
	unusable kind = iota
	null
	text
	list
	mapping
	partialMapping // the keys of a merge are missing, and the error is reported already
)

// pair is a key of a mapping, with the value.
type pair struct {
	key   string
	at    *token.Position // of the key
	value *value
}

// maxDepth limits the recursion over nested values. A configuration has 5 levels.
const maxDepth = 32

// start is the position of errors about absent keys.
var start = &token.Position{Line: 1, Column: 1}

func (d *document) position(at *token.Position, key string) string {
	return strings.TrimSuffix(fmt.Sprintf("%s:%d:%d: %s", d.path, at.Line, at.Column, key), ": ")
}

// report adds an error about a key, and returns an unusable value.
func (d *document) report(at *token.Position, key, format string, args ...any) *value {
	if err := fmt.Errorf(format, args...); !errors.Is(err, errReported) {
		d.errs = append(d.errs, located{cli.SettingError(d.position(at, key), err), at})
	}
	return &value{at: at}
}

// err returns the reported errors in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.errs, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.at.Column, b.at.Column))
	})
	errs := make([]error, len(d.errs))
	for i, e := range d.errs {
		errs[i] = e.error
	}
	return cli.Join(errs...)
}

// parse returns the value of the only YAML document of the file.
func (d *document) parse(data []byte) *value {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the byte order mark
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := start
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			message, _, _ := strings.Cut(syntax.GetMessage(), `: "`) // text that may be a secret
			at, err = syntax.GetToken().Position, fmt.Errorf("YAML syntax: %s", message)
			if strings.HasSuffix(message, "not allowed in this context") || strings.Contains(message, "\t") {
				err = cli.WithHint(err, "indent with spaces, begin the keys of one level in the same "+
					"column, and quote a value that begins with a bracket: '[::1]:5514'")
			}
		}
		return d.report(at, "", "%w", err)
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.DirectiveType && doc.Body.Type() != ast.CommentType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return d.report(start, "the file is empty", "the key listeners is required")
	case 1:
		return d.value(bodies[0], "")
	}
	return d.report(position(bodies[1]), "a second document", "the file can only have one")
}

// position returns where a node begins. The token of a mapping in block style is its first colon.
func position(node ast.Node) *token.Position {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position
	}
	return node.GetToken().Position
}

// value makes a value of a node. Errors name the value by its key.
func (d *document) value(node ast.Node, key string) *value {
	at := position(node)
	defer func() { d.depth-- }()
	if d.depth++; d.depth > maxDepth {
		return d.report(at, key, "values are nested more than %d deep", maxDepth)
	}
	switch n := node.(type) {
	case *ast.AnchorNode:
		v := d.value(n.Value, key)
		d.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if v := d.anchors[name]; v != nil {
			return v
		}
		if isSecret(key) { // without quotes, a password that begins with * is an alias
			return d.report(at, key, "no anchor with the name of this alias ends before")
		}
		return d.report(at, "*"+name, "no anchor &%s ends before this alias", name)
	case *ast.TagNode:
		return d.value(n.Value, key)
	case *ast.MappingKeyNode: // ? key
		return d.value(n.Value, key)
	case ast.MapNode:
		return d.mapping(n, at, key)
	case *ast.SequenceNode:
		v := &value{kind: list, at: at}
		for i, item := range n.Values {
			v.list = append(v.list, d.value(item, fmt.Sprintf("%s[%d]", key, i)))
		}
		return v
	case *ast.NullNode:
		return &value{kind: null, at: at}
	case *ast.StringNode:
		return &value{kind: text, at: at, text: n.Value}
	case *ast.LiteralNode:
		return &value{kind: text, at: at, text: strings.TrimSuffix(n.Value.Value, "\n")}
	}
	return &value{kind: text, at: at, text: node.GetToken().Value}
}

// mapping makes a value of a mapping. A merge (<<) adds only keys that the mapping lacks.
func (d *document) mapping(node ast.MapNode, at *token.Position, key string) *value {
	v := &value{kind: mapping, at: at}
	var merged []*value
	var firstMerge *token.Position
	for iter := node.MapRange(); iter.Next(); {
		if iter.Key().IsMergeKey() {
			if again := iter.Key().GetToken().Position; firstMerge != nil {
				d.reportDuplicate(again, strings.TrimPrefix(key+".<<", "."), firstMerge)
				continue
			}
			firstMerge = iter.Key().GetToken().Position
			merge := d.value(iter.Value(), key)
			if merged = append(merged, merge); merge.kind == list {
				merged = append(merged[:len(merged)-1], merge.list...)
			}
			continue
		}
		name := d.value(iter.Key(), key)
		word, err := name.scalar("")
		if err != nil {
			d.report(name.at, key, "%w", err)
			v.kind = partialMapping
			continue
		}
		inner := strings.TrimPrefix(key+"."+word, ".")
		p := pair{word, name.at, d.value(iter.Value(), inner)}
		if p.value.kind == null {
			p.value = &value{kind: null, at: p.at}
		}
		if i := v.index(word); i >= 0 {
			d.reportDuplicate(p.at, inner, v.pairs[i].at)
			continue
		}
		v.pairs = append(v.pairs, p)
	}
	for _, m := range merged {
		if !d.isMapping(m, key) || m.kind == partialMapping {
			v.kind = partialMapping
		}
		for _, p := range m.pairs {
			if v.index(p.key) < 0 {
				v.pairs = append(v.pairs, p)
			}
		}
	}
	return v
}

func (d *document) reportDuplicate(at *token.Position, key string, first *token.Position) {
	d.report(at, key, "the key is already set at %d:%d", first.Line, first.Column)
}

func (v *value) index(key string) int {
	return slices.IndexFunc(v.pairs, func(p pair) bool { return p.key == key })
}

// isMapping returns whether v is a mapping, and reports an error if v is not.
func (d *document) isMapping(v *value, key string) bool {
	if v.kind == unusable || v.kind >= mapping {
		return v.kind >= mapping
	}
	d.report(v.at, cmp.Or(key, "the file"), "must be keys with values")
	return false
}

// scalar returns the text of a value, or, with a separator, the texts of a list. The error of an
// unusable value is errReported.
func (v *value) scalar(separator string) (string, error) {
	switch {
	case v.kind == unusable:
		return "", errReported
	case v.kind <= text:
		return v.text, nil
	case v.kind != list || separator == "":
		return "", errNotScalar
	case len(v.list) == 0:
		return "", errEmptyList
	}
	texts := make([]string, len(v.list))
	for i, item := range v.list {
		var err error
		if texts[i], err = item.scalar(""); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, separator), nil
}

var (
	errReported  = errors.New("reported already")
	errNotScalar = errors.New("must be a single value")
	errEmptyList = errors.New("the list is empty")
)
