package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

// setting is a setting of a T.
type setting[T any] struct {
	flag       string // "": none
	key        string
	init       string   // the default; "": the zero value
	live       bool     // a reload can change the setting
	isSwitch   bool     // the flag without a value means true
	isMain     bool     // the section may be a single value, which is the value of this setting
	separator  string   // of the items in a text, for YAML lists and repeated flags; "": no list
	item       itemText // of an item of a YAML list; nil: the item is a single value
	hasSecrets bool     // values are never shown
	fromFlag   flagText // nil: the flag has the texts of the key
	usage      string
	group      string         // of the flag, in help
	offer      cli.Completion // of the values of the flag; nil: none
	field[T]
}

// inGroup returns settings whose flags are in a group.
func inGroup[T any](group string, settings []setting[T]) []setting[T] {
	for i := range settings {
		settings[i].group = group
	}
	return settings
}

// outputGroup is the group of the flags of outputs and of the spool.
const outputGroup = "Output flags"

// itemText returns the text of an item. It reports errors with a position within the item, and
// then returns errReported.
type itemText func(d *document, key string, item *value) (string, error)

// flagText returns the text of the key for a text of the flag.
type flagText func(text string) (string, error)

// field is a field of a T. set parses a text.
type field[T any] struct {
	set func(to *T, text string) error
	get func(of *T) any
}

// bind makes a field of a parser and of a pointer to the parsed value.
func bind[T, V any](parse func(string) (V, error), pointer func(*T) *V) field[T] {
	return field[T]{
		set: func(to *T, text string) error {
			value, err := parse(text)
			if err == nil {
				*pointer(to) = value
			}
			return err
		},
		get: func(of *T) any { return *pointer(of) },
	}
}

// scope is a T, the process or a listener, with the settings of a T.
type scope[T any] struct {
	settings []setting[T]
	of       *T
	origins  *origins
	others   []string // keys of the file beside the settings
}

// find returns the first setting that matches, or nil.
func (s scope[T]) find(match func(setting[T]) bool) *setting[T] {
	i := slices.IndexFunc(s.settings, match)
	if i < 0 {
		return nil
	}
	return &s.settings[i]
}

func (s scope[T]) withKey(key string) *setting[T] {
	return s.find(func(s setting[T]) bool { return s.key == key })
}

func (s scope[T]) withFlag(flag string) *setting[T] {
	return s.find(func(s setting[T]) bool { return s.flag != "" && s.flag == flag })
}

// set sets a setting to a text. The error of an unusable text has the position.
func (s scope[T]) set(one *setting[T], position, text string) error {
	err := one.set(s.of, text)
	s.origins.keys[one.key] = origin{position: position, text: text, unusable: err != nil}
	if err != nil {
		return cli.SettingError(position, err)
	}
	return nil
}

// setDefaults sets each setting to its default.
func (s scope[T]) setDefaults() {
	for _, one := range s.settings {
		if one.init == "" {
			continue
		}
		if err := one.set(s.of, one.init); err != nil {
			panic(fmt.Sprintf("default of %s: %v", one.key, err))
		}
	}
}

func (s scope[T]) keys() (keys []string) {
	for _, one := range s.settings {
		keys = append(keys, one.key)
	}
	return keys
}

// section returns the settings below a key of the file, such as log for log.level.
func (s scope[T]) section(key string) (inner []setting[T]) {
	for _, one := range s.settings {
		if strings.HasPrefix(one.key, key+".") {
			inner = append(inner, one)
		}
	}
	return inner
}
