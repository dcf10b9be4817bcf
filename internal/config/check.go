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

// check returns all errors of settings together, and names listeners without a name. Settings
// whose text was unusable have their defaults, and are not checked.
func (c *Config) check() error {
	errs := []error{c.checkTakeover(), c.readToken()}
	c.lookUp()
	errs = append(errs, c.nameListeners())
	listenerAt := make(map[netip.AddrPort]*Listener)
	for _, l := range c.Listeners {
		errs = append(errs, l.checkEngine(), l.checkDNS(), l.checkRotation(), l.checkFormat(),
			l.checkTargets())
		at := l.Resolved()
		if at.Port() == 0 || l.keys["address"].unusable {
			continue
		}
		if first := listenerAt[at]; first != nil {
			err := fmt.Errorf("listener %s has the address %s already", first.Name, first.Address)
			errs = append(errs, l.ErrorAt("address", err))
			continue
		}
		listenerAt[at] = l
	}
	errs = append(errs, c.checkSharedFiles(), c.checkSpool(), c.checkCookies())
	return cli.Join(errs...)
}

func (c *Config) checkTakeover() error {
	switch {
	case c.Takeover != "":
		if err := takeover.CheckPath(c.Takeover); err != nil {
			return c.ErrorAt("takeover", err)
		}
	case c.Standby:
		err := c.ErrorAt("standby", errors.New("a standby needs a takeover path"))
		return cli.WithHint(err, "set --takeover PATH, or takeover: PATH in the file, "+
			"to the takeover path of the active process")
	}
	return nil
}

// nameListeners names each listener without a name after its protocol: syslog, syslog-2.
func (c *Config) nameListeners() error {
	var errs []error
	named := make(map[string]bool)
	for _, l := range c.Listeners {
		if l.Name != "" && named[l.Name] {
			errs = append(errs, l.ErrorAt("name", fmt.Errorf("another listener has the name %q", l.Name)))
		}
		named[l.Name] = true
	}
	unnamed := make(map[string]int) // by protocol
	for _, l := range c.Listeners {
		for l.Name == "" {
			unnamed[l.Protocol]++
			name := l.Protocol
			if n := unnamed[name]; n > 1 {
				name += "-" + strconv.Itoa(n)
			}
			if !named[name] {
				l.Name, named[name] = name, true
			}
		}
	}
	return cli.Join(errs...)
}

// checkEngine returns all errors that the engine finds. A host name without an address is not
// looked up a second time.
func (l *Listener) checkEngine() error {
	engine := l.Engine()
	var unresolved error
	if l.unresolved != nil {
		engine.Address = ""
		err := fmt.Errorf("%q: %w", l.Address, l.unresolved)
		unresolved = &shard.ConfigError{Field: "Address", Err: err}
	}
	errs := cli.Separate(engine.Check(), unresolved)
	for i, err := range errs {
		errs[i] = l.WithPosition(err)
	}
	return cli.Join(errs...)
}

// WithPosition adds the position of the setting to an error of the engine about the setting.
func (l *Listener) WithPosition(err error) error {
	var wrong *shard.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	key := map[string]string{
		"Address": "address", "Shards": "shards", "CPUs": "cpus", "Batch": "batch",
		"MaxDatagram": "max_datagram", "ReceiveBuffer": "receive_buffer", "GRO": "gro",
		"BusyPoll": "busy_poll", "Allow": "allow", "RateLimit": "rate_limit",
		"RateLimitPrefix4": "rate_limit_prefix.ipv4", "RateLimitPrefix6": "rate_limit_prefix.ipv6",
		"Steering.Mode": "steer", "Steering.StallAfter": "stall_after",
	}[wrong.Field]
	if !l.IsSet(key) && l.start == "" {
		return cli.Config(fmt.Errorf("listener %s: %s: %w", l.Name, key, wrong.Err))
	}
	return l.ErrorAt(key, wrong.Err)
}

// minDNSDatagram is the length in bytes of a DNS query that each server accepts (RFC 1035 2.3.4).
// A client sends longer queries only to a server that announces a larger size (EDNS).
const minDNSDatagram = 512

// checkDNS returns the errors of settings that the protocol does not have, or that have no effect.
func (l *Listener) checkDNS() error {
	var errs []error
	switch {
	case l.keys["protocol"].unusable:
	case l.Protocol == "dns":
		if l.MaxDatagram < minDNSDatagram {
			err := fmt.Errorf("%d is less than %d bytes, the length of query that every server "+
				"accepts (RFC 1035 section 2.3.4)", l.MaxDatagram, minDNSDatagram)
			errs = append(errs, l.ErrorAt("max_datagram", err))
		}
		for _, key := range []string{"rrl_slip", "rrl_exempt"} {
			if l.IsSet(key) && l.RRL == 0 && l.RRLAll == 0 {
				err := errors.New("without effect while rrl is off")
				errs = append(errs, l.ErrorAt(key, err))
			}
		}
	default:
		position := "--protocol"
		if l.start != "" {
			position = l.position("protocol")
		}
		for _, s := range dnsSettings {
			if l.IsSet(s.key) {
				err := l.ErrorAt(s.key, fmt.Errorf("only dns has this setting, and the protocol is %s", l.Protocol))
				errs = append(errs, cli.WithHint(err, cli.SuggestedAt(position, "dns")))
			}
		}
	}
	return cli.Join(errs...)
}
