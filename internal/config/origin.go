package config

import "github.com/udpshard/udpshard/internal/cli"

// origin is where and how a setting was set.
type origin struct {
	position string // --batch, $NAME, or FILE:4:11: listeners[0].batch
	text     string
	unusable bool     // the setting has the default, or lacks items, since the text is unusable
	items    []string // positions of the items of the setting in the file; nil: position
}

// origins are the origins of settings, by key.
type origins struct {
	keys  map[string]origin
	start string // of a listener of the file: FILE:3:5: listeners[0]
}

// IsSet returns whether a setting is set: by the file, a flag or the environment.
func (o *origins) IsSet(key string) bool {
	_, set := o.keys[key]
	return set
}

// SetAt notes the flag of a setting that the program has set, for errors.
func (o *origins) SetAt(key, flag string) { o.keys[key] = origin{position: flag} }

// position is where a setting is set, or could be set.
func (o *origins) position(key string) string {
	switch at, set := o.keys[key]; {
	case set:
		return at.position
	case o.start != "":
		return o.start + "." + key
	}
	return key
}

// ErrorAt returns the error of an unusable setting, with the position.
func (o *origins) ErrorAt(key string, err error) error {
	return cli.SettingError(o.position(key), err)
}
