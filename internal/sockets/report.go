package sockets

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/holder"
)

// Report is what sockets finds, as JSON.
type Report struct {
	Address   string         `json:"address"`
	Looks     int            `json:"looks"`
	Seconds   float64        `json:"seconds"`
	Groups    []groupReport  `json:"groups"`
	Connected []socketReport `json:"connected"`
	Findings  []finding      `json:"findings"`
	Unseen    string         `json:"unseen,omitempty"` // why processes are missing
}

// groupReport is the sockets that share an address.
type groupReport struct {
	Address   string         `json:"address"`
	V6Only    bool           `json:"v6_only"`
	Interface string         `json:"interface,omitempty"`
	Receives  bool           `json:"receives"` // what is sent to the report's address, or some of it
	Role      string         `json:"role"`
	Sockets   []socketReport `json:"sockets"`

	severalUsers bool // who share the address by SO_REUSEADDR
}

// socketReport is one socket. Member is its number in its group.
type socketReport struct {
	Member         *int             `json:"member,omitempty"`
	Local          string           `json:"local"`
	Peer           string           `json:"peer,omitempty"`
	Processes      []holder.Process `json:"processes"`
	UID            uint32           `json:"uid"`
	QueueBytes     uint32           `json:"queue_bytes"`
	BufferBytes    uint32           `json:"buffer_bytes"`
	Drops          uint32           `json:"drops"`
	DropsPerSecond float64          `json:"drops_per_second"`
	Cookie         uint64           `json:"cookie"`
	Inode          uint32           `json:"inode"`
	Unread         bool             `json:"unread"`

	dropped uint32 // while it was watched
}

func NewReport(address netip.AddrPort, w Watch) Report {
	r := Report{Address: address.String(), Looks: w.Looks, Seconds: w.Elapsed.Seconds(), Groups: []groupReport{}, Connected: []socketReport{}, Findings: []finding{}}
	if address.Addr().IsUnspecified() {
		r.Address = fmt.Sprintf(":%d", address.Port())
	}
	report := func(s Watched) socketReport {
		one := socketReport{
			Local: s.Local.String(), Processes: s.Processes, UID: s.UID, QueueBytes: s.QueueBytes, BufferBytes: s.BufferBytes, Drops: s.Drops,
			Cookie: s.Cookie, Inode: s.Inode, Unread: s.Unread, dropped: s.Dropped,
		}
		if s.Peer.IsValid() {
			one.Peer = s.Peer.String()
		}
		if s.Dropped > 0 {
			one.DropsPerSecond = float64(s.Dropped) / max(r.Seconds, 1e-9)
		}
		if one.Processes == nil {
			one.Processes = []holder.Process{}
		}
		return one
	}
	groups, connected := Groups(w.Sockets)
	for _, g := range groups {
		if !address.Addr().IsUnspecified() && !g.Takes(address.Addr()) {
			continue
		}
		one := groupReport{Address: g.Local.String(), V6Only: g.V6Only, Interface: g.Interface, severalUsers: !g.OneUser()}
		one.Role, one.Receives = role(g, groups, address)
		for member, s := range g.Members {
			listed := report(s)
			listed.Member = &member
			one.Sockets = append(one.Sockets, listed)
		}
		r.Groups = append(r.Groups, one)
	}
	slices.SortStableFunc(r.Groups, func(a, b groupReport) int { // those that receive come first
		switch {
		case a.Receives == b.Receives:
			return 0
		case a.Receives:
			return -1
		}
		return 1
	})
	for _, s := range connected {
		if address.Addr().IsUnspecified() || sameAddress(s.Local.Addr(), address.Addr()) {
			r.Connected = append(r.Connected, report(s))
		}
	}
	for _, g := range r.Groups {
		r.Findings = append(r.Findings, findings(g.name(), g.Sockets, r.Seconds)...)
	}
	for _, s := range r.Connected {
		r.Findings = append(r.Findings, findings(s.Local+" connected to "+s.Peer, []socketReport{s}, r.Seconds)...)
	}
	if os.Geteuid() == 0 {
		r.Unseen = "no process that can be seen holds it: the kernel itself (a tunnel such as WireGuard or VXLAN), one of another PID namespace, or one that only a process with CAP_SYS_PTRACE may look into"
	} else {
		r.Unseen = fmt.Sprintf("another user's process, which uid %d may not look into: as root it is shown", os.Geteuid())
	}
	if !r.hides() {
		r.Unseen = ""
	}
	return r
}

// hides says whether the process of some socket is missing.
func (r Report) hides() bool {
	for _, s := range r.Connected {
		if len(s.Processes) == 0 {
			return true
		}
	}
	for _, g := range r.Groups {
		for _, s := range g.Sockets {
			if len(s.Processes) == 0 {
				return true
			}
		}
	}
	return false
}

func sameAddress(a, b netip.Addr) bool {
	return a.Unmap().WithZone("") == b.WithZone("") && (a.Zone() == b.Zone() || a.Zone() == "" || b.Zone() == "")
}

// name tells a group from others.
func (g groupReport) name() string {
	if g.Interface != "" && !strings.Contains(g.Address, "%") {
		return g.Address + " on " + g.Interface
	}
	return g.Address
}

func plainList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
