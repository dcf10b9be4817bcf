package config

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// Define defines the given flags in their order. A flag of a list can be repeated, a switch needs
// no value, and an unusable value is an error of the flag.
func TestDefine(t *testing.T) {
	var f Flags
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Define(flags, "usage", "allow", "listen", "gro", "http")
	var names []string
	flags.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	if want := []string{"config", "allow", "listen", "gro", "http"}; !slices.Equal(names, want) {
		t.Errorf("flags %v, want %v", names, want)
	}
	if err := flags.Parse([]string{"--allow", "10.0.0.0/8", "--allow=::1", "--gro", "--listen", ":1"}); err != nil {
		t.Fatal(err)
	}
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	l := c.Listeners[0]
	if got := formatPrefixes(l.allow); got != "10.0.0.0/8 ::1/128" || !l.GRO || l.Address != ":1" {
		t.Errorf("allow %s, gro %t, address %s", got, l.GRO, l.Address)
	}
	if err := flags.Parse([]string{"--listen", "nowhere"}); err == nil {
		t.Error("--listen nowhere: no error")
	}

	f, flags = Flags{}, pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Define(flags, "usage")
	for _, s := range listenerSettings {
		if s.flag != "" && flags.Lookup(s.flag) == nil {
			t.Errorf("no flag --%s", s.flag)
		}
	}
}
