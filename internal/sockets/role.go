package sockets

import (
	"net/netip"
	"strings"
)

// role describes which datagrams to an address a group receives, or for an unspecified address
// which datagrams to the port.
func role(g *Group, all []*Group, address netip.AddrPort) (text string, receives bool) {
	if address.Addr().IsUnspecified() {
		return portRole(g, all), true
	}
	to := address.Addr()
	var above, rivals []string
	bound := false // a group has the exact address, on any interface
	for _, other := range all {
		switch {
		case other.Outranks(g, to):
			above = append(above, other.Name())
		case g.Rivals(other, to):
			rivals = append(rivals, other.Name())
		}
		bound = bound || other.Takes(to) && !other.Wildcard()
	}
	switch {
	case len(above) == 1:
		return "receives nothing: " + above[0] + " comes first", false
	case len(above) > 1:
		return "receives nothing: " + joinWords(above) + " come first", false
	}
	text = "receives what is sent to " + address.String()
	switch {
	case !g.Wildcard():
	case bound:
		text += ", but not through the interface of a group that is bound to that address"
	default:
		text += ", since no socket is bound to that address"
	}
	text += g.throughInterface()
	if len(rivals) > 0 {
		text += ", unless " + strings.Join(rivals, " or ") + " does"
	}
	return text, true
}

// portRole describes which datagrams to the port a group receives.
func portRole(g *Group, all []*Group) string {
	if !g.Wildcard() {
		return "receives what is sent to that address" + g.throughInterface()
	}
	var families []string
	for _, family := range []struct {
		name  string
		probe netip.Addr // for documentation, in use nowhere: RFC 5737, RFC 3849
	}{{"IPv6", netip.MustParseAddr("2001:db8::1")}, {"IPv4", netip.MustParseAddr("192.0.2.1")}} {
		takes := g.Takes(family.probe)
		for _, other := range all {
			takes = takes && !(other.Wildcard() && other.Outranks(g, family.probe))
		}
		if takes {
			families = append(families, family.name)
		}
	}
	if len(families) == 0 {
		return "receives nothing: other wildcards come first"
	}
	return "receives " + joinWords(families) + " to addresses without sockets of their own" + g.throughInterface()
}

func (g *Group) throughInterface() string {
	if g.Interface == "" {
		return ""
	}
	return ", through interface " + g.Interface
}
