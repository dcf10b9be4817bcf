package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/shard"
)

// check finds all that is wrong with the whole, and names unnamed listeners. A key whose value
// could not be used has its default, which is not judged beside other keys.
func (c *Config) check() error {
	var errs []error
	if c.Takeover != "" {
		if err := takeover.CheckPath(c.Takeover); err != nil {
			errs = append(errs, c.ErrorAt("takeover", err))
		}
	}
	if c.Standby && c.Takeover == "" {
		err := c.ErrorAt("standby", errors.New("a standby needs a takeover path"))
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
		if !l.keys["protocol"].unusable {
			errs = append(errs, l.checkDNS())
		}
		at := l.Resolved()
		if at.Port() == 0 || l.keys["address"].unusable {
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

// leastDatagram is what a query may have in bytes (RFC 1035 2.3.4); beyond it a
// client has to know that the server takes more.
const leastDatagram = 512

// checkDNS refuses what only a listener of DNS can use, and what is of no use
// to one.
func (l *Listener) checkDNS() error {
	var errs []error
	if l.Protocol != "dns" {
		for _, s := range dnsSettings {
			if l.IsSet(s.key) {
				err := l.ErrorAt(s.key, fmt.Errorf("the protocol is %s, and only dns has this", l.Protocol))
				place := "--protocol"
				if l.start != "" {
					place = l.position("protocol")
				}
				errs = append(errs, cli.WithHint(err, cli.SuggestedAt(place, "dns")))
			}
		}
		return cli.Join(errs...)
	}
	if l.MaxDatagram < leastDatagram {
		errs = append(errs, l.ErrorAt("max_datagram", fmt.Errorf("%d is less than %d, which a query may have", l.MaxDatagram, leastDatagram)))
	}
	if l.IsSet("rrl_slip") && l.RRL == 0 {
		errs = append(errs, l.ErrorAt("rrl_slip", errors.New("rrl is off, and no response is above the limit")))
	}
	return cli.Join(errs...)
}

// WithPosition says where what the engine finds wrong was set.
func (l *Listener) WithPosition(err error) error {
	var wrong *shard.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	key := map[string]string{
		"Address": "address", "Shards": "shards", "CPUs": "cpus", "Batch": "batch", "MaxDatagram": "max_datagram",
		"ReceiveBuffer": "receive_buffer", "GRO": "gro", "BusyPoll": "busy_poll", "Allow": "allow", "RateLimit": "rate_limit",
		"RateLimitPrefix4": ratePrefix + ".ipv4", "RateLimitPrefix6": ratePrefix + ".ipv6",
		"Steering.Mode": "steer", "Steering.StallAfter": "stall_after",
	}[wrong.Field]
	if !l.IsSet(key) && l.start == "" {
		return cli.Config(fmt.Errorf("listener %s: %s: %w", l.Name, key, wrong.Err))
	}
	return l.ErrorAt(key, wrong.Err)
}
