// Package config has the settings of serve: one table of settings, which command line flags, the
// environment and a YAML file set by the same words. Errors name the flag or the line and column,
// and all errors of a file come at once. A reload compares two configurations by their effective
// values.
package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
)

// HTTPVariable is the environment's say in the HTTP address. A container's
// health check has no other way to learn what serve was told.
const HTTPVariable = "UDPSHARD_HTTP"

// runtimeFolder is the variable in which systemd names the folders of a service, with colons
// between them (RuntimeDirectory=, systemd.exec(5)).
const runtimeFolder = "RUNTIME_DIRECTORY"

// defaultTakeover returns the takeover path in the first of the runtime folders; "" without one.
func defaultTakeover(folders string) string {
	if folder, _, _ := strings.Cut(folders, ":"); folder != "" {
		return filepath.Join(folder, "takeover.sock")
	}
	return ""
}

// readEnvironment applies the settings that environment variables make. Defaults yield to these;
// the file and flags override them.
func (c *Config) readEnvironment() error {
	var errs []error
	for _, v := range []struct{ name, key, text string }{
		{HTTPVariable, "http", os.Getenv(HTTPVariable)},
		{runtimeFolder, "takeover", defaultTakeover(os.Getenv(runtimeFolder))},
	} {
		if _, set := os.LookupEnv(v.name); set {
			s := c.scope()
			errs = append(errs, s.set(s.withKey(v.key), "$"+v.name, v.text))
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

	HTTPResolved string // http, with the address of its host name
	origins
}

var configSettings = []setting[Config]{
	{flag: "http", key: "http", init: client.DefaultAddress,
		usage: "serve status and metrics at `ADDR`; empty turns it off; $" + HTTPVariable + " changes the default",
		field: bind(parseHTTP, func(c *Config) *string { return &c.HTTP })},
	{flag: "takeover", key: "takeover",
		usage: "`PATH` of the unix socket over which a successor takes the sockets and the counters (default $RUNTIME_DIRECTORY/takeover.sock, else off)",
		field: bind(cli.ParseText, func(c *Config) *string { return &c.Takeover })},
	{flag: "standby", key: "standby", init: "false", isSwitch: true,
		usage: "hold the sockets of the active process at the takeover path, and take over when it stops, " +
			"dies or hangs; without an active process, become active",
		field: bind(cli.ParseBool, func(c *Config) *bool { return &c.Standby })},
	{flag: "standby-after", key: "standby_after", init: "250ms",
		usage: "standby: take over when a shard of the active process leaves its queue unread for `DURATION`; 0 is never",
		field: bind(parseStandbyAfter, func(c *Config) *time.Duration { return &c.StandbyAfter })},
	{flag: "log-level", key: "log.level", init: "info", live: true,
		usage: "least `LEVEL` to log: debug, info, warn or error",
		field: bind(cli.ParseChoice("debug", "info", "warn", "error"),
			func(c *Config) *string { return &c.LogLevel })},
	{flag: "log-format", key: "log.format", init: "auto",
		usage: "`FORMAT` of logs on standard error: console, json, or auto (console on a terminal)",
		field: bind(cli.ParseChoice("auto", "console", "json"),
			func(c *Config) *string { return &c.LogFormat })},
	{flag: "stats-interval", key: "stats_interval", init: "10s", live: true,
		usage: "log each listener's rates and losses every `DURATION`; 0 is never",
		field: bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.StatsInterval })},
	{flag: "drain-timeout", key: "drain_timeout", init: "8s", live: true,
		usage: "at SIGTERM, wait for outputs for `DURATION`; what they have not accepted then is dropped and counted",
		field: bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.DrainTimeout })},
}

func newConfig() *Config {
	c := &Config{origins: origins{keys: make(map[string]origin)}}
	c.scope().setDefaults()
	return c
}

func (c *Config) scope() scope[Config] {
	return scope[Config]{configSettings, c, &c.origins, []string{"listeners"}}
}

func (c *Config) MayRunWithoutHTTP() bool {
	return !c.IsSet("http") && slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return l.Join })
}

func (c *Config) Shards() (n int) {
	for _, l := range c.Listeners {
		n += len(l.ShardCPUs())
	}
	return n
}
