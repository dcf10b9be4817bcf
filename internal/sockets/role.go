package sockets

import (
	"net/netip"
	"strings"
)

// role says what a group gets of that which is sent to an address, or of that
// which is sent to the port.
func role(g *Group, all []*Group, address netip.AddrPort) (text string, receives bool) {
	if address.Addr().IsUnspecified() {
		return portRole(g, all), true
	}
	to := address.Addr()
	var above, rivals []string
	bound := false // to the very address, whatever interface
	for _, other := range all {
		switch {
		case other.Outranks(g, to):
			above = append(above, groupName(other))
		case g.Rivals(other, to):
			rivals = append(rivals, groupName(other))
		}
		bound = bound || other.Takes(to) && !other.Wildcard()
	}
	if len(above) > 0 {
		come := " comes first"
		if len(above) > 1 {
			come = " come first"
		}
		return "gets nothing of it: " + plainList(above) + come, false
	}
	text = "gets what is sent to " + address.String()
	switch {
	case !g.Wildcard():
	case bound:
		text += " and comes in elsewhere than where that is bound"
	default:
		text += ", as no socket is bound to that address itself"
	}
	if g.Interface != "" {
		text += ", if it comes in through " + g.Interface
	}
	if len(rivals) > 0 {
		text += ", unless " + strings.Join(rivals, " or ") + " does"
	}
	return text, true
}

// portRole says what a group gets where no address is asked for.
func portRole(g *Group, all []*Group) string {
	text := "gets what is sent to that address"
	if g.Wildcard() {
		var families []string
		for _, family := range []struct {
			name  string
			probe netip.Addr // in use nowhere: RFC 5737, RFC 3849
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
			return "gets nothing: other wildcards come first"
		}
		text = "gets " + plainList(families) + " to addresses that have no sockets of their own"
	}
	if g.Interface != "" {
		text += ", if it comes in through " + g.Interface
	}
	return text
}

func groupName(g *Group) string {
	return groupReport{Address: g.Local.String(), Interface: g.Interface}.name()
}
