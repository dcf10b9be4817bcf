// Package config reads the configuration of serve from flags, the environment and a YAML file.
// Tables of settings have the flag, the key, the default and the parser of each setting. Errors
// name the flag, or line, column and key, and all errors of a file are returned at once. A reload
// compares two configurations by their effective values.
package config

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/packet/dns/cookie"
)

// runtimeVariable is the environment variable with the runtime folders of a service, separated by
// colons (RuntimeDirectory=, systemd.exec(5)).
const runtimeVariable = "RUNTIME_DIRECTORY"

// Config is the configuration of serve.
type Config struct {
	HTTP          string
	HTTPToken     string // "": none
	LogLevel      string
	LogFormat     string
	StatsInterval time.Duration
	DrainTimeout  time.Duration
	Takeover      string
	Standby       bool
	StandbyAfter  time.Duration
	Spool         Spool
	CookieSecrets []cookie.Secret // of cookie_secret_file; none: secrets rotate
	CookieRotate  time.Duration   // period of secrets that rotate
	Listeners     []*Listener

	HTTPResolved string // HTTP with the IP address of the host name
	httpHosts    []string
	tokenText    string // HTTPToken, with references that are not read
	secretFile   string // path of cookie_secret_file
	origins
}

var configSettings = slices.Concat(inGroup("Lifecycle flags", lifecycleSettings),
	inGroup("Process flags", processSettings), inGroup(outputGroup, spoolSettings),
	inGroup("DNS flags", cookieSettings))

// lifecycleSettings are the settings of the start and the end of a process.
var lifecycleSettings = []setting[Config]{
	{flag: "takeover", key: "takeover",
		usage: "`PATH` of the unix socket over which a successor takes the sockets and the counters (default $RUNTIME_DIRECTORY/takeover.sock, else off)",
		offer: cli.Files,
		field: bind(cli.ParseText, func(c *Config) *string { return &c.Takeover })},
	{flag: "standby", key: "standby", init: "false", isSwitch: true,
		usage: "hold the sockets of the active process at the takeover path, and take over when that " +
			"process stops, dies or hangs; without an active process, become active",
		field: bind(cli.ParseBool, func(c *Config) *bool { return &c.Standby })},
	{flag: "standby-after", key: "standby_after", init: "250ms",
		usage: "standby: take over when a shard of the active process leaves its queue unread for `DURATION`; 0 is never",
		field: bind(parseStandbyAfter, func(c *Config) *time.Duration { return &c.StandbyAfter })},
	{flag: "drain-timeout", key: "drain_timeout", init: "8s", live: true,
		usage: "at SIGTERM, wait for outputs for `DURATION`; records that are not written then are dropped and counted",
		field: bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.DrainTimeout })},
}

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"auto", "console", "json"}
)

// processSettings are the settings of HTTP and of the log.
var processSettings = []setting[Config]{
	{flag: "http", key: "http", init: client.DefaultAddress,
		usage: "serve status and metrics at `ADDR`; empty turns it off; $" + client.AddressVariable + " changes the default",
		field: bind(parseHTTP, func(c *Config) *string { return &c.HTTP })},
	{flag: "http-hosts", key: "http_hosts", live: true, separator: ",",
		usage: "answer HTTP requests for the names `NAME,...`, beside IP addresses and localhost",
		field: bind(parseHosts, func(c *Config) *[]string { return &c.httpHosts })},
	{flag: "http-token-file", key: tokenKey, live: true, hasSecrets: true, fromFlag: tokenReference,
		usage: "ask HTTP clients for the token in `FILE`; $" + client.TokenFileVariable + " changes the default",
		offer: cli.Files,
		field: bind(cli.ParseText, func(c *Config) *string { return &c.tokenText })},
	{flag: "log-level", key: "log.level", init: "info", live: true,
		usage: "lowest `LEVEL` to log: debug, info, warn or error",
		offer: cli.Words(logLevels...),
		field: bind(cli.ParseChoice(logLevels...), func(c *Config) *string { return &c.LogLevel })},
	{flag: "log-format", key: "log.format", init: "auto",
		usage: "`FORMAT` of logs on standard error: console, json, or auto (console on a terminal)",
		offer: cli.Words(logFormats...),
		field: bind(cli.ParseChoice(logFormats...), func(c *Config) *string { return &c.LogFormat })},
	{flag: "stats-interval", key: "stats_interval", init: "10s", live: true,
		usage: "log each listener's rates and losses every `DURATION`; 0 is never",
		field: bind(cli.ParseDuration, func(c *Config) *time.Duration { return &c.StatsInterval })},
}

// spoolSettings are the settings of the spool, which all listeners share.
var spoolSettings = []setting[Config]{
	{flag: "spool", key: "spool.path", isMain: true,
		usage: "`DIR` of the spool, in which records wait for the targets of --to " +
			"(default $STATE_DIRECTORY/spool, else $XDG_STATE_HOME/udpshard, else ~/.local/state/udpshard)",
		offer: cli.Folders,
		field: bind(parseSpoolPath, func(c *Config) *string { return &c.Spool.Path })},
	{key: "spool.max_size", init: "8GiB",
		field: bind(parseSizeFrom(MinSpoolSize, math.MaxInt),
			func(c *Config) *int { return &c.Spool.MaxSize })},
	{key: "spool.when_full", init: "wait",
		field: bind(cli.ParseChoice("wait", "drop_oldest"),
			func(c *Config) *string { return &c.Spool.WhenFull })},
	{key: "spool.sync", init: "1s",
		field: bind(parseSync, func(c *Config) *Sync { return &c.Spool.Sync })},
	{key: "spool.segment_size",
		field: bind(parseSizeFrom(MinSegmentSize, MaxSegmentSize),
			func(c *Config) *int { return &c.Spool.SegmentSize })},
}

func newConfig() *Config {
	c := &Config{origins: origins{keys: make(map[string]origin)}}
	c.scope().setDefaults()
	return c
}

func (c *Config) scope() scope[Config] {
	return scope[Config]{configSettings, c, &c.origins, []string{"listeners"}}
}

// readEnvironment sets the settings of environment variables. The file and flags override them.
func (c *Config) readEnvironment() error {
	var errs []error
	s := c.scope()
	if address, set := os.LookupEnv(client.AddressVariable); set {
		errs = append(errs, s.set(s.withKey("http"), "$"+client.AddressVariable, address))
	}
	if file := os.Getenv(client.TokenFileVariable); file != "" {
		text, err := tokenReference(file)
		if err != nil {
			errs = append(errs, cli.SettingError("$"+client.TokenFileVariable, err))
		} else {
			errs = append(errs, s.set(s.withKey(tokenKey), "$"+client.TokenFileVariable, text))
		}
	}
	if folders, set := os.LookupEnv(runtimeVariable); set {
		var path string
		if folder, _, _ := strings.Cut(folders, ":"); folder != "" {
			path = filepath.Join(folder, "takeover.sock")
		}
		errs = append(errs, s.set(s.withKey("takeover"), "$"+runtimeVariable, path))
	}
	errs = append(errs, c.setSpoolPath())
	return cli.Join(errs...)
}

// MayRunWithoutHTTP reports whether serve may start although the default HTTP address is in use:
// a process with which a listener shares its port serves HTTP there.
func (c *Config) MayRunWithoutHTTP() bool {
	joins := func(l *Listener) bool { return l.Join }
	return !c.IsSet("http") && slices.ContainsFunc(c.Listeners, joins)
}

// Shards returns the number of shards of all listeners.
func (c *Config) Shards() (n int) {
	for _, l := range c.Listeners {
		n += len(l.ShardCPUs())
	}
	return n
}
