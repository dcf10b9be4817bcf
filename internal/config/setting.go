package config

// setting is one thing that can be set, by a flag and by a key of the file.
type setting[T any] struct {
	flag  string
	key   string
	init  string // the default
	live  bool   // SIGHUP can change it
	bare  bool   // the flag alone means true
	list  bool   // in the file it may be a YAML list
	usage string
	set   func(to *T, text string) error
	means func(of *T) any // what it comes to, where other words, or none, come to the same; may be nil
}

// bind makes a setting of a parser and of where its result goes.
func bind[T, V any](parse func(string) (V, error), field func(*T) *V) func(*T, string) error {
	return func(to *T, text string) error {
		value, err := parse(text)
		if err == nil {
			*field(to) = value
		}
		return err
	}
}
