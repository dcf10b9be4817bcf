package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/packet/dns"
)

// dnsSettings are of no use to listeners of other protocols.
var dnsSettings = []setting[Listener]{
	{flag: "zone", key: "zone", live: true, isList: true,
		usage: "dns: `FILE` of a zone to answer from (RFC 1035 master file); may be given several times",
		field: bind(parseList, func(l *Listener) *[]string { return &l.Zones })},
	{flag: "sinkhole", key: "sinkhole", live: true, isList: true,
		usage: "dns: answer every A and AAAA query for names in no zone with `ADDR,...`",
		field: bind(parseAddresses, func(l *Listener) *[]netip.Addr { return &l.Sinkhole })},
	{flag: "rrl", key: "rrl", init: "200",
		usage: "dns: send at most `N` responses of one kind a second to a client's network, or off",
		field: bind(parseRate, func(l *Listener) *int { return &l.RRL })},
	{flag: "rrl-slip", key: "rrl_slip", init: "2",
		usage: "dns: send every `N`th response above the limit truncated, so that the client can come back over TCP; 0 is none",
		field: bind(parseSlip, func(l *Listener) *int { return &l.RRLSlip })},
	{flag: "cookies", key: "cookies", init: "true", isSwitch: true,
		usage: "dns: give cookies to clients, and do not limit clients that send them back",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.Cookies })},
}

func init() { listenerSettings = append(listenerSettings, dnsSettings...) }

func parseSlip(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 || value > dns.MaxSlip {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", text, dns.MaxSlip)
	}
	return value, nil
}

func parseList(text string) ([]string, error) {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return nil, fmt.Errorf("%q has an empty part", text)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func parseAddresses(text string) ([]netip.Addr, error) {
	var addresses []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		at, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || at.Zone() != "" {
			return nil, fmt.Errorf("%q is not an address such as 192.0.2.1 or 2001:db8::1", part)
		}
		addresses = append(addresses, at.Unmap())
	}
	return addresses, nil
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
