// Package config has the settings of serve: one table of settings, which command line flags, the
// environment and a YAML file set by the same words. Errors name the flag or the line and column,
// and all errors of a file come at once. A reload compares two configurations by their effective
// values.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/shard"
)

// HTTPVariable is the environment's say in the HTTP address. A container's
// health check has no other way to learn what serve was told.
const HTTPVariable = "UDPSHARD_HTTP"

// readEnvironment applies the settings that environment variables make. Defaults yield to these;
// the file and flags override them.
func (c *Config) readEnvironment() error {
	var errs []error
	for _, v := range []struct{ name, key, text string }{
		{HTTPVariable, "http", os.Getenv(HTTPVariable)},
		{runtimeFolder, "takeover", defaultTakeover(os.Getenv(runtimeFolder))},
	} {
		if _, set := os.LookupEnv(v.name); set {
			match := func(s setting[Config]) bool { return s.key == v.key }
			errs = append(errs, apply(configSettings, c, c.given, match, source{"$" + v.name, v.text}))
		}
	}
	return cli.Join(errs...)
}

// Config is all that serve is told, by flags or by a file.
type Config struct {
	HTTP          string
	LogLevel      string
	LogFormat     string
	StatsInterval time.Duration
	DrainTimeout  time.Duration
	Takeover      string
	Standby       bool
	StandbyAfter  time.Duration
	Listeners     []*Listener

	given        map[string]source // keys that were set, and where
	HTTPResolved string            // http, with the address of its host name
}

// source is where a setting was made, and what was written there.
type source struct {
	place string // --batch, or file.yaml:4:11: listeners[0].batch
	text  string
}

var configSettings = []setting[Config]{
	{flag: "http", key: "http", init: client.DefaultAddress,
		usage: "serve status and metrics at `ADDR`; empty turns it off; $" + HTTPVariable + " changes the default",
		set:   bind(parseHTTP, func(c *Config) *string { return &c.HTTP }),
		means: func(c *Config) any { return HTTPSocket(c.HTTPResolved) }},
	{flag: "takeover", key: "takeover",
		usage: "`PATH` of the unix socket over which a successor takes the sockets and the counters (default $RUNTIME_DIRECTORY/takeover.sock, else off)",
		set:   bind(cli.ParseText, func(c *Config) *string { return &c.Takeover }),
		means: func(c *Config) any { return absolute(c.Takeover) }},
	{flag: "standby", key: "standby", init: "false", bare: true,
		usage: "hold the sockets of the active process at the takeover path, and take over when it stops, " +
			"dies or hangs; without an active process, become active",
		set: bind(cli.ParseBool, func(c *Config) *bool { return &c.Standby })},
	{flag: "standby-after", key: "standby_after", init: "250ms",
		usage: "standby: take over when a shard of the active process leaves its queue unread for `DURATION`; 0 is never",
		set:   bind(parseStandbyAfter, func(c *Config) *time.Duration { return &c.StandbyAfter })},
	{flag: "log-level", key: "log.level", init: "info", live: true,
		usage: "least `LEVEL` to log: debug, info, warn or error",
		set: bind(cli.ParseChoice("debug", "info", "warn", "error"),
			func(c *Config) *string { return &c.LogLevel })},
	{flag: "log-format", key: "log.format", init: "auto",
		usage: "`FORMAT` of logs on standard error: console, json, or auto (console on a terminal)",
		set: bind(cli.ParseChoice("auto", "console", "json"),
			func(c *Config) *string { return &c.LogFormat })},
	{flag: "stats-interval", key: "stats_interval", init: "10s", live: true,
		usage: "log each listener's rates and losses every `DURATION`; 0 is never",
		set:   bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.StatsInterval })},
	{flag: "drain-timeout", key: "drain_timeout", init: "8s", live: true,
		usage: "at SIGTERM, wait for outputs for `DURATION`; what they have not accepted then is dropped and counted",
		set:   bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.DrainTimeout })},
}

func parseHTTP(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if _, err := hostport.Parse("tcp", text); err != nil {
		meant := client.MeantAddress(text)
		switch cmp.Or(cli.MeantBool(text), strings.ToLower(text)) {
		case "true":
			meant = client.DefaultAddress
		case "false":
			meant = "''"
		}
		return "", cli.Suggest(err, meant)
	}
	return text, nil
}

// HTTPSocket is where an HTTP address is listened at: with any unspecified one,
// net.Listen takes IPv6 and IPv4. Port 0 is another one each time. It asks no name server.
func HTTPSocket(address string) any {
	switch at, _ := hostport.Parse("tcp", address); {
	case !at.IP.IsValid() || at.Port == 0:
		return address
	case at.IP.IsUnspecified():
		return at.Port
	default:
		return at.AddrPort()
	}
}

// absolute is a path from the root; "" is none.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}

// shortestStandby is what no scheduler's mood takes for long.
const shortestStandby = 50 * time.Millisecond

func parseStandbyAfter(text string) (time.Duration, error) {
	d, err := parseStall(text)
	if err == nil && d != 0 && d < shortestStandby {
		err = fmt.Errorf("%s is less than %s", d, shortestStandby)
	}
	return d, err
}

// apply sets a thing by what its flag or key says.
func apply[T any](settings []setting[T], to *T, given map[string]source, match func(setting[T]) bool, at source) error {
	i := slices.IndexFunc(settings, match)
	if i < 0 {
		return errUnknown
	}
	given[settings[i].key] = at
	if err := settings[i].set(to, at.text); err != nil {
		return cli.Unusable(at.place, err)
	}
	return nil
}

var errUnknown = errors.New("no such setting")

func newConfig() *Config {
	c := &Config{given: make(map[string]source)}
	setDefaults(configSettings, c)
	return c
}

func setDefaults[T any](settings []setting[T], to *T) {
	for _, s := range settings {
		if s.init == "" {
			continue
		}
		if err := s.set(to, s.init); err != nil {
			panic(fmt.Sprintf("default of %s: %v", s.key, err))
		}
	}
}

// isSet returns whether a key is set, by the file, a flag or the environment.
func (c *Config) isSet(key string) bool {
	_, set := c.given[key]
	return set
}

// place is where a key is set.
func (c *Config) place(key string) string {
	if at, given := c.given[key]; given {
		return at.place
	}
	return key
}

// check finds all that is wrong with the whole, and names unnamed listeners. A key whose value
// could not be used has its default, which is not judged beside other keys.
func (c *Config) check() error {
	var errs []error
	if c.Takeover != "" {
		if err := takeover.CheckPath(c.Takeover); err != nil {
			errs = append(errs, cli.Unusable(c.place("takeover"), err))
		}
	}
	if c.Standby && c.Takeover == "" {
		err := cli.Unusable(c.place("standby"), errors.New("a standby needs a takeover path"))
		errs = append(errs, cli.WithHint(err, "set --takeover PATH, or takeover: PATH in the file, "+
			"to the takeover path of the active process"))
	}
	c.lookUp()
	names := make(map[string]bool)
	for _, l := range c.Listeners {
		if l.Name == "" {
			continue
		}
		if names[l.Name] {
			errs = append(errs, l.ErrorAt("name", fmt.Errorf("another listener is called %q", l.Name)))
		}
		names[l.Name] = true
	}
	unnamed := make(map[string]int) // listeners of a protocol, that have got a name of it
	taken := make(map[netip.AddrPort]*Listener)
	for _, l := range c.Listeners {
		for l.Name == "" {
			unnamed[l.Protocol]++
			name := l.Protocol
			if n := unnamed[name]; n > 1 {
				name += "-" + strconv.Itoa(n)
			}
			if !names[name] {
				l.Name, names[name] = name, true
			}
		}
		for _, err := range cli.Separate(l.checkEngine()) {
			errs = append(errs, l.WithPosition(err))
		}
		if !l.spoilt["protocol"] {
			errs = append(errs, l.checkDNS())
		}
		at := l.Resolved()
		if at.Port() == 0 || l.spoilt["address"] {
			continue
		}
		if other := taken[at]; other != nil {
			err := fmt.Errorf("listener %s has %s already", other.Name, other.Address)
			errs = append(errs, l.ErrorAt("address", err))
		} else {
			taken[at] = l
		}
	}
	return cli.Join(errs...)
}

// checkEngine returns all that the engine finds wrong with the listener, joined. A host name
// without an address is not looked up again.
func (l *Listener) checkEngine() error {
	engine := l.Engine()
	if l.unresolved == nil {
		return engine.Check()
	}
	engine.Address = ""
	unresolved := fmt.Errorf("%q: %w", l.Address, l.unresolved)
	return errors.Join(engine.Check(), &shard.ConfigError{Field: "Address", Err: unresolved})
}

func (c *Config) MayRunWithoutHTTP() bool {
	return !c.isSet("http") && slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return l.Join })
}

func (c *Config) Shards() (n int) {
	for _, l := range c.Listeners {
		n += len(l.ShardCPUs())
	}
	return n
}
