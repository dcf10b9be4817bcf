package client

import (
	"cmp"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// Environment variables with the defaults of flags, for serve and for commands that ask an instance.
const (
	AddressVariable   = "UDPSHARD_HTTP"            // of --http
	TokenFileVariable = "UDPSHARD_HTTP_TOKEN_FILE" // of --http-token-file
)

// Flags are the flags of a command that asks an instance.
type Flags struct {
	set       *pflag.FlagSet
	address   string
	timeout   time.Duration
	tokenFile string
}

// Define defines --http, --timeout and --http-token-file.
func (f *Flags) Define(set *pflag.FlagSet) {
	f.set, f.timeout = set, 2*time.Second
	set.StringVar(&f.address, "http", cmp.Or(os.Getenv(AddressVariable), DefaultAddress),
		"`ADDR` of the instance's HTTP server; $"+AddressVariable+" changes the default")
	cli.AddFlag(set, &f.timeout, "timeout", cli.ParseDuration, "`DURATION` to wait for the answer")
	AddTokenFlag(set, &f.tokenFile)
}

// Instance returns the instance that the flags name.
func (f *Flags) Instance() (Instance, error) {
	place := "--http"
	if _, set := os.LookupEnv(AddressVariable); set && !f.set.Changed("http") {
		place = "$" + AddressVariable
	}
	i, err := New(place, f.address, f.timeout)
	return i.WithTokenFile(f.tokenFile), err
}
