package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
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
	"github.com/udpshard/udpshard/shard"
)

// httpVariable is the environment's say in the HTTP address. A container's
// health check has no other way to learn what serve was told.
const httpVariable = "UDPSHARD_HTTP"

// readEnvironment applies the settings that environment variables make. Defaults yield to these;
// the file and flags override them.
func (c *config) readEnvironment() error {
	var errs []error
	for _, v := range []struct{ name, key, text string }{
		{httpVariable, "http", os.Getenv(httpVariable)},
		{runtimeFolder, "takeover", defaultTakeover(os.Getenv(runtimeFolder))},
	} {
		if _, set := os.LookupEnv(v.name); set {
			match := func(s setting[config]) bool { return s.key == v.key }
			errs = append(errs, apply(configSettings, c, c.given, match, source{"$" + v.name, v.text}))
		}
	}
	return cli.Join(errs...)
}

// config is all that serve is told, by flags or by a file.
type config struct {
	http          string
	logLevel      string
	logFormat     string
	statsInterval time.Duration
	drainTimeout  time.Duration
	takeover      string
	standby       bool
	standbyAfter  time.Duration
	listeners     []*listener

	given       map[string]source // keys that were set, and where
	httpNumeric string            // http, with the address of its host name
}

// source is where a setting was made, and what was written there.
type source struct {
	place string // --batch, or file.yaml:4:11: listeners[0].batch
	text  string
}

var configSettings = []setting[config]{
	{flag: "http", key: "http", init: client.DefaultAddress,
		usage: "serve status and metrics at `ADDR`; empty turns it off; $" + httpVariable + " changes the default",
		set:   bind(parseHTTP, func(c *config) *string { return &c.http }),
		means: func(c *config) any { return httpSocket(c.httpNumeric) }},
	{flag: "takeover", key: "takeover",
		usage: "`PATH` of the unix socket over which a successor takes the sockets and the counters (default $RUNTIME_DIRECTORY/takeover.sock, else off)",
		set:   bind(cli.ParseText, func(c *config) *string { return &c.takeover }),
		means: func(c *config) any { return absolute(c.takeover) }},
	{flag: "standby", key: "standby", init: "false", bare: true,
		usage: "hold the sockets of the process that serves at the takeover path, and wait for it to " +
			"leave, die or hang; where nobody serves, serve",
		set: bind(cli.ParseBool, func(c *config) *bool { return &c.standby })},
	{flag: "standby-after", key: "standby_after", init: "250ms",
		usage: "`DURATION` for which a shard of that process may stay away from a queue that waits, before a standby takes over; 0 is for ever",
		set:   bind(parseStandbyAfter, func(c *config) *time.Duration { return &c.standbyAfter })},
	{flag: "log-level", key: "log.level", init: "info", live: true,
		usage: "least `LEVEL` that is logged: debug, info, warn or error",
		set: bind(cli.ParseChoice("debug", "info", "warn", "error"),
			func(c *config) *string { return &c.logLevel })},
	{flag: "log-format", key: "log.format", init: "auto",
		usage: "`FORMAT` of logs on standard error: console, json, or auto (console on a terminal)",
		set: bind(cli.ParseChoice("auto", "console", "json"),
			func(c *config) *string { return &c.logFormat })},
	{flag: "stats-interval", key: "stats_interval", init: "10s", live: true,
		usage: "`DURATION` between two log lines with each listener's rates and losses; 0 is none",
		set:   bind(cli.ParseDuration, func(c *config) *time.Duration { return &c.statsInterval })},
	{flag: "drain-timeout", key: "drain_timeout", init: "8s", live: true,
		usage: "`DURATION` that SIGTERM gives outputs to take what was read; the rest is counted as lost",
		set:   bind(cli.ParseDuration, func(c *config) *time.Duration { return &c.drainTimeout })},
}

func parseHTTP(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		host, defaultPort, _ := net.SplitHostPort(client.DefaultAddress)
		meant := cli.MeantAddress(text, host, defaultPort)
		switch cmp.Or(cli.MeantBool(text), strings.ToLower(text)) {
		case "true":
			meant = client.DefaultAddress
		case "false":
			meant = "''"
		}
		return "", cli.Suggest(fmt.Errorf("%q is not host:port, [ipv6]:port or :port", text), meant)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", fmt.Errorf("%q has no usable port: %w", text, err)
	}
	return text, nil
}

// httpSocket is where an HTTP address is listened at: with any unspecified one,
// net.Listen takes IPv6 and IPv4. Port 0 is another one each time. It asks no name server.
func httpSocket(address string) any {
	at, ok := literal(address)
	switch {
	case !ok || at.Port() == 0:
		return address
	case at.Addr().IsUnspecified():
		return at.Port()
	}
	return at
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

func newConfig() *config {
	c := &config{given: make(map[string]source)}
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
func (c *config) isSet(key string) bool {
	_, set := c.given[key]
	return set
}

// place is where a key is set.
func (c *config) place(key string) string {
	if at, given := c.given[key]; given {
		return at.place
	}
	return key
}

// check finds all that is wrong with the whole, and names unnamed listeners. A key whose value
// could not be used has its default, which is not judged beside other keys.
func (c *config) check() error {
	var errs []error
	if c.takeover != "" {
		if err := takeover.CheckPath(c.takeover); err != nil {
			errs = append(errs, cli.Unusable(c.place("takeover"), err))
		}
	}
	if c.standby && c.takeover == "" {
		err := cli.Unusable(c.place("standby"), errors.New("a standby needs a takeover path"))
		errs = append(errs, cli.WithHint(err, "set --takeover PATH, or takeover: PATH in the file, "+
			"to the takeover path of the active process"))
	}
	c.lookUp()
	names := make(map[string]bool)
	for _, l := range c.listeners {
		if l.name == "" {
			continue
		}
		if names[l.name] {
			errs = append(errs, l.misfit("name", fmt.Errorf("another listener is called %q", l.name)))
		}
		names[l.name] = true
	}
	unnamed := make(map[string]int) // listeners of a protocol, that have got a name of it
	taken := make(map[netip.AddrPort]*listener)
	for _, l := range c.listeners {
		for l.name == "" {
			unnamed[l.protocol]++
			name := l.protocol
			if n := unnamed[name]; n > 1 {
				name += "-" + strconv.Itoa(n)
			}
			if !names[name] {
				l.name, names[name] = name, true
			}
		}
		for _, err := range cli.Separate(l.checkEngine()) {
			errs = append(errs, l.locate(err))
		}
		if !l.spoilt["protocol"] {
			errs = append(errs, l.checkDNS())
		}
		at := l.resolved()
		if at.Port() == 0 || l.spoilt["address"] {
			continue
		}
		if other := taken[at]; other != nil {
			err := fmt.Errorf("listener %s has %s already", other.name, other.address)
			errs = append(errs, l.misfit("address", err))
		} else {
			taken[at] = l
		}
	}
	return cli.Join(errs...)
}

// checkEngine returns all that the engine finds wrong with the listener, joined. A host name
// without an address is not looked up again.
func (l *listener) checkEngine() error {
	engine := l.engine()
	if l.unresolved == nil {
		return engine.Check()
	}
	engine.Address = ""
	unresolved := fmt.Errorf("%q: %w", l.address, l.unresolved)
	return errors.Join(engine.Check(), &shard.ConfigError{Field: "Address", Err: unresolved})
}

func (c *config) mayGoWithoutWeb() bool {
	return !c.isSet("http") && slices.ContainsFunc(c.listeners, func(l *listener) bool { return l.join })
}

func (c *config) shards() (n int) {
	for _, l := range c.listeners {
		n += len(l.pins())
	}
	return n
}
