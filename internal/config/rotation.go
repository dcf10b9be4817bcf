package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/ship"
)

// rotationSettings are the settings that only an output file has.
var rotationSettings = []setting[Listener]{
	{key: "rotate_size",
		field: bind(parseRotateSize, func(l *Listener) *int64 { return &l.rotation.Size })},
	{key: "rotate_every",
		field: bind(parseAge(minRotateEvery),
			func(l *Listener) *time.Duration { return &l.rotation.Every })},
	{key: "keep_size",
		field: bind(parseLimit, func(l *Listener) *int64 { return &l.rotation.KeepSize })},
	{key: "keep_for",
		field: bind(parseAge(0), func(l *Listener) *time.Duration { return &l.rotation.KeepFor })},
	{key: "compress",
		field: bind(parseCompress, func(l *Listener) *bool { return &l.rotation.Compress })},
}

const (
	// minRotateSize is small enough for tests. Smaller files would be one for each write.
	minRotateSize = 64 << 10
	// minRotateEvery is the unit of the time in the name of a closed file.
	minRotateEvery = time.Second
)

// parseLimit parses a size in bytes that can be off.
func parseLimit(text string) (int64, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	size, err := cli.ParseSize(text)
	return int64(size), err
}

func parseRotateSize(text string) (int64, error) {
	size, err := parseLimit(text)
	if err == nil && size != 0 && size < minRotateSize {
		err = fmt.Errorf("%s is less than %s", text, cli.FormatSize(minRotateSize))
	}
	return size, err
}

// parseAge returns a parser of a duration that can be off, and is not less than least.
func parseAge(least time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		if text == "off" {
			return 0, nil
		}
		d, err := cli.ParseDuration(text)
		if days, isDays := strings.CutSuffix(text, "d"); err != nil && isDays {
			if n, notNumber := cli.ParseCount(days); notNumber == nil {
				err = cli.Suggest(err, fmt.Sprintf("%dh", 24*n))
			}
		}
		if err == nil && d != 0 && d < least {
			err = fmt.Errorf("%s is less than %s", d, least)
		}
		return d, err
	}
}

func parseCompress(text string) (bool, error) {
	text, err := cli.ParseChoice("off", "zstd")(text)
	return text == "zstd", err
}

// Rotation returns the rotation of the listener's output files.
func (l *Listener) Rotation() output.Rotation { return l.rotation }

// checkRotation returns the errors of settings that the output does not have, or that have no
// effect.
func (l *Listener) checkRotation() error {
	var errs []error
	_, isFile := output.Path(l.Output, 0)
	for _, s := range rotationSettings {
		used := l.IsSet(s.key) && !l.keys[s.key].unusable
		closes := s.key == "rotate_size" || s.key == "rotate_every"
		switch {
		case !used || l.keys["output"].unusable:
		case !isFile:
			where := l.Output
			if l.IsSet("to") {
				where = "the spool"
			}
			err := fmt.Errorf("only file:PATH has this setting, and the output is %s", where)
			errs = append(errs, l.ErrorAt(s.key, err))
		case !closes && !l.rotation.Enabled() &&
			!l.keys["rotate_size"].unusable && !l.keys["rotate_every"].unusable:
			err := errors.New("without effect while rotate_size and rotate_every are off")
			errs = append(errs, l.ErrorAt(s.key, err))
		}
	}
	return cli.Join(errs...)
}

// checkSharedFiles returns an error for each listener that has a file with another listener, and
// rotates the file differently or writes lines to dnstap messages.
func (c *Config) checkSharedFiles() error {
	var errs []error
	first := make(map[string]*Listener) // by path
	for _, l := range c.Listeners {
		shards := 1
		if strings.Contains(l.Output, output.PerShard) {
			engine, err := l.Engine().Complete()
			if err != nil { // reported by checkEngine
				continue
			}
			shards = engine.Shards
		}
		for shard := range shards {
			path, isFile := output.Path(l.Output, shard)
			if !isFile {
				break
			}
			other := first[path]
			if other == nil {
				first[path] = l
				continue
			}
			if (other.Format == ship.Dnstap) != (l.Format == ship.Dnstap) {
				err := fmt.Errorf("listener %s has the file %s already, with the format %s",
					other.Name, path, other.Format)
				errs = append(errs, l.ErrorAt("output", err))
				break
			}
			if other.rotation != l.rotation {
				err := fmt.Errorf("listener %s has the file %s already, with other settings of "+
					"rotation", other.Name, path)
				errs = append(errs, l.ErrorAt("output", err))
				break
			}
		}
	}
	return cli.Join(errs...)
}
