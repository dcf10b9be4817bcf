package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// Spool is the configuration of the spool, where records wait for targets.
type Spool struct {
	Path        string // of the folder; "": no default is known
	MaxSize     int    // bytes of all segments
	WhenFull    string // wait, or drop_oldest
	Sync        Sync
	SegmentSize int // bytes of a full segment; 0: the spool derives the size from MaxSize
}

// Sync is when written records are forced to the disk, so that the records outlive a crash of the
// kernel or the loss of power. The zero value leaves the time to the kernel.
type Sync struct {
	Interval time.Duration // at the most from the write to the disk; 0: no limit
	Segments bool          // when a segment is full
}

// Limits of the sizes of a spool, in bytes.
const (
	MinSpoolSize   = 16 << 20 // less holds a few seconds of records
	MinSegmentSize = 1 << 20  // smaller files cost time for names and checksums
	MaxSegmentSize = 1 << 30  // a segment is deleted as a whole
)

// leastSegments is how many full segments fit into a spool: drop_oldest drops one at a time.
const leastSegments = 4

// stateVariable is the environment variable with the state folders of a service, separated by
// colons (StateDirectory=, systemd.exec(5)).
const stateVariable = "STATE_DIRECTORY"

// stateFolder returns the state folder of the service or else, with ofService false, of the user (XDG
// Base Directory Specification 0.8: relative paths in the variable are ignored), or "".
func stateFolder() (folder string, ofService bool) {
	if folder, _, _ := strings.Cut(os.Getenv(stateVariable), ":"); folder != "" {
		return folder, true
	}
	folder = os.Getenv("XDG_STATE_HOME")
	if home := os.Getenv("HOME"); !filepath.IsAbs(folder) && home != "" {
		folder = filepath.Join(home, ".local", "state")
	}
	if !filepath.IsAbs(folder) {
		return "", false
	}
	return folder, false
}

// setSpoolPath sets the default path of the spool, in the state folder.
func (c *Config) setSpoolPath() error {
	s := c.scope()
	switch folder, ofService := stateFolder(); {
	case ofService:
		return s.set(s.withKey("spool.path"), "$"+stateVariable, filepath.Join(folder, "spool"))
	case folder != "":
		c.Spool.Path = filepath.Join(folder, "udpshard")
	}
	return nil
}

func parseSpoolPath(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("the path is empty")
	case strings.Contains(text, "://"):
		return "", errors.New("a URL is no path of a folder")
	}
	return text, nil
}

// parseSizeFrom returns a parser of a size in a range.
func parseSizeFrom(least, most int) func(string) (int, error) {
	return func(text string) (int, error) {
		size, err := cli.ParseSize(text)
		switch {
		case err == nil && size < least:
			err = fmt.Errorf("%s is less than %s", text, cli.FormatSize(least))
		case err == nil && size > most:
			err = fmt.Errorf("%s is more than %s", text, cli.FormatSize(most))
		}
		return size, err
	}
}

// minSync is the shortest interval: each fdatasync(2) takes up to 10 ms of a disk.
const minSync = 100 * time.Millisecond

func parseSync(text string) (Sync, error) {
	switch text {
	case "none":
		return Sync{}, nil
	case "segment":
		return Sync{Segments: true}, nil
	}
	d, err := cli.ParseDuration(text)
	switch {
	case err != nil:
		err = fmt.Errorf("%q is not none, segment, or a duration such as 1s", text)
		meant := cli.NearestWord(text, []string{"none", "segment"})
		err = cli.Suggest(err, cmp.Or(cli.GuessDuration(text, time.Second), meant))
	case d < minSync:
		err = fmt.Errorf("%s is less than %s", text, minSync)
	}
	return Sync{Interval: d}, err
}

// checkSpool returns the errors of settings of the spool that exclude each other, or have no effect.
func (c *Config) checkSpool() error {
	hasTargets := false
	for _, l := range c.Listeners {
		hasTargets = hasTargets || l.IsSet("to")
	}
	var errs []error
	for _, s := range configSettings {
		isSet := c.IsSet(s.key) && c.keys[s.key].position != "$"+stateVariable
		if strings.HasPrefix(s.key, "spool.") && isSet && !hasTargets {
			err := errors.New("without effect: no listener has targets")
			const hint = "--to URL, or to: URL below a listener of the file, is a target"
			errs = append(errs, c.ErrorAt(s.key, cli.WithHint(err, hint)))
		}
	}
	if most := c.Spool.MaxSize / leastSegments; c.Spool.SegmentSize > most {
		err := fmt.Errorf("%s is more than a quarter of max_size, %s",
			cli.FormatSize(c.Spool.SegmentSize), cli.FormatSize(c.Spool.MaxSize))
		errs = append(errs, c.ErrorAt("spool.segment_size", err))
	}
	if hasTargets && c.Spool.Path == "" && !c.keys["spool.path"].unusable {
		err := errors.New("there is no default: $" + stateVariable +
			", $XDG_STATE_HOME and $HOME are not set")
		err = cli.WithHint(err, "--spool DIR, or spool: DIR in the file")
		errs = append(errs, c.ErrorAt("spool.path", err))
	}
	return cli.Join(errs...)
}
