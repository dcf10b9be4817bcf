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

// Flags are the flags of a command that asks an instance, or several.
type Flags struct {
	set       *pflag.FlagSet
	address   string
	addresses []string
	timeout   time.Duration
	tokenFile string
}

// Define defines --http, --timeout and --http-token-file.
func (f *Flags) Define(set *pflag.FlagSet) {
	set.StringVar(&f.address, "http", defaultAddress(),
		"`ADDR` of the instance's HTTP server; $"+AddressVariable+" changes the default")
	f.defineOthers(set)
}

// DefineSeveral defines the flags of Define, and --http may be given several times.
func (f *Flags) DefineSeveral(set *pflag.FlagSet) {
	set.StringArrayVar(&f.addresses, "http", []string{defaultAddress()},
		"`ADDR` of an instance's HTTP server; several times for several instances; $"+AddressVariable+" changes the default")
	f.defineOthers(set)
}

func defaultAddress() string { return cmp.Or(os.Getenv(AddressVariable), DefaultAddress) }

func (f *Flags) defineOthers(set *pflag.FlagSet) {
	f.set, f.timeout = set, 2*time.Second
	cli.AddFlag(set, &f.timeout, "timeout", cli.ParseDuration, "`DURATION` to wait for the answer")
	AddTokenFlag(set, &f.tokenFile)
}

// Instance returns the instance that the flags of Define name.
func (f *Flags) Instance() (Instance, error) { return f.at(f.address) }

// Instances returns the instances that the flags of DefineSeveral name.
func (f *Flags) Instances() (list []Instance, err error) {
	for _, address := range f.addresses {
		i, err := f.at(address)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

func (f *Flags) at(address string) (Instance, error) {
	place := "--http"
	if _, set := os.LookupEnv(AddressVariable); set && !f.set.Changed("http") {
		place = "$" + AddressVariable
	}
	i, err := New(place, address, f.timeout)
	return i.WithTokenFile(f.tokenFile), err
}
