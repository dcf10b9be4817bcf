package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/regular"
)

const (
	// maxFileSize is the largest configuration file, in bytes: 60,000 listeners of 256 bytes.
	maxFileSize = 16 << 20
	// fileTimeout limits the reading of the file. A local file takes milliseconds; a file of a
	// file server that does not answer would take forever.
	fileTimeout = 10 * time.Second
)

// readFile reads the configuration file into c, and returns all errors of the file. Unknown keys
// are errors.
func (c *Config) readFile(path string) error {
	data, err := regular.Read(path, maxFileSize, fileTimeout)
	if err != nil {
		return cli.Config(fmt.Errorf("--config: %w", err))
	}
	d := &document{path: path, anchors: make(map[string]*value)}
	root := d.parse(data)
	if !d.isMapping(root, "") {
		return d.err()
	}
	listeners := pair{at: start, value: &value{kind: list}}
	if i := root.index("listeners"); i >= 0 {
		listeners = root.pairs[i]
		root.pairs = slices.Delete(root.pairs, i, i+1)
	}
	setPairs(d, c.scope(), "", root.pairs)
	switch kind := listeners.value.kind; {
	case kind == text || kind >= mapping:
		d.report(listeners.value.at, "listeners", "must be a list, with - before each item")
	case kind != unusable && len(listeners.value.list) == 0 && root.kind == mapping:
		d.report(listeners.at, "listeners", "at least one listener is required")
	}
	for i, item := range listeners.value.list {
		key := fmt.Sprintf("listeners[%d]", i)
		l := NewListener()
		c.Listeners = append(c.Listeners, l)
		l.start = d.position(item.at, key)
		if !d.isMapping(item, key) || item.kind == partialMapping {
			l.keys["address"] = origin{position: l.start + ".address", unusable: true}
			l.keys["protocol"] = origin{position: l.start + ".protocol", unusable: true}
		}
		setPairs(d, l.scope(), key+".", item.pairs)
	}
	return d.err()
}

// setPairs sets the settings of a scope to the values of pairs. Errors have prefix before the keys.
func setPairs[T any](d *document, s scope[T], prefix string, pairs []pair) {
	for _, p := range pairs {
		section := s.section(p.key)
		name, below, dotted := strings.Cut(p.key, ".")
		switch {
		case dotted && len(s.section(name)) > 0: // as the documentation calls the setting
			d.report(p.at, prefix+p.key, "write %s: and, indented in the next line, %s:", name, below)
		case len(section) == 0:
			setPair(d, s, prefix, p)
		case p.key == "log" && p.value.kind == null:
		case p.value.kind == text && section[0].isMain:
			setPair(d, s, prefix, pair{section[0].key, p.at, p.value})
		case p.value.kind > unusable && p.value.kind < mapping:
			err := errors.New("must be keys with values")
			d.report(p.value.at, prefix+p.key, "%w", cli.WithHint(err, example(p.key, section)))
		default:
			for _, inner := range p.value.pairs {
				inner.key = p.key + "." + inner.key
				setPair(d, s, prefix, inner)
			}
		}
	}
}

// setPair sets the setting with the key of a pair.
func setPair[T any](d *document, s scope[T], prefix string, p pair) {
	one := s.withKey(p.key)
	if one == nil {
		known := append(s.keys(), s.others...)
		err := fmt.Errorf("unknown key: use one of %s", strings.Join(known, ", "))
		if hint := keyHint(s, p.key, known); hint != "" {
			err = cli.WithHint(err, hint)
		}
		d.report(p.at, prefix+p.key, "%w", err)
		return
	}
	at := origin{position: d.position(p.value.at, prefix+p.key)}
	var err error
	if one.item == nil {
		at.text, err = p.value.scalar(one.separator)
	} else {
		at.text, at.items, err = d.items(one.item, prefix+p.key, p.value, one.separator)
	}
	if err == nil || len(at.items) > 0 {
		err = cmp.Or(one.set(s.of, at.text), err)
	}
	at.unusable = err != nil
	s.origins.keys[p.key] = at
	if err != nil {
		d.report(p.value.at, prefix+p.key, "%w", err)
	}
}

// items returns the texts of a value, or of the items of a list, and their positions. It reports
// unusable items, and then the error is errReported.
func (d *document) items(item itemText, key string, v *value, separator string) (
	joined string, positions []string, err error) {
	values, keys := []*value{v}, []string{key}
	if v.kind == list {
		values, keys = v.list, nil
		for i := range values {
			keys = append(keys, fmt.Sprintf("%s[%d]", key, i))
		}
	}
	if len(values) == 0 {
		return "", nil, errEmptyList
	}
	var texts []string
	for i, one := range values {
		text, itemErr := item(d, keys[i], one)
		if itemErr != nil {
			d.report(one.at, keys[i], "%w", itemErr)
			err = errReported
			continue
		}
		texts, positions = append(texts, text), append(positions, d.position(one.at, keys[i]))
	}
	return strings.Join(texts, separator), positions, err
}

// example is a section with the defaults of its settings: log: {level: info, format: auto}.
func example[T any](key string, section []setting[T]) string {
	var pairs []string
	for _, one := range section {
		if one.init != "" {
			pairs = append(pairs, strings.TrimPrefix(one.key, key+".")+": "+one.init)
		}
	}
	return fmt.Sprintf("%s: {%s}", key, strings.Join(pairs, ", "))
}

// keyHint returns the hint for an unknown key: a known key that is similar, the key of the flag
// with this name, or where the key belongs; else "".
func keyHint[T any](s scope[T], key string, known []string) string {
	if one := s.withFlag(strings.ReplaceAll(key, "_", "-")); one != nil {
		return cli.DidYouMean(one.key)
	}
	if similar := cli.NearestWord(strings.ReplaceAll(key, "-", "_"), known); similar != "" {
		return cli.DidYouMean(similar)
	}
	process, listener := new(Config).scope(), new(Listener).scope()
	switch {
	case listener.withKey(key) != nil || len(listener.section(key)) > 0:
		return key + " is a key of a listener: write it below listeners"
	case process.withKey(key) != nil || len(process.section(key)) > 0:
		return key + " is a key of the file: write it beside listeners"
	}
	return ""
}
