package sockets

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/udpshard/udpshard/internal/holder"
)

// Report is the output of udpshard sockets, as JSON.
type Report struct {
	Address   string         `json:"address"`
	Looks     int            `json:"looks"`
	Seconds   float64        `json:"seconds"`
	Groups    []groupReport  `json:"groups"`
	Connected []socketReport `json:"connected"`
	Findings  []finding      `json:"findings"`
	Unseen    string         `json:"unseen,omitempty"` // why processes are missing
}

// groupReport is a Group.
type groupReport struct {
	Address   string         `json:"address"`
	V6Only    bool           `json:"v6_only"`
	Interface string         `json:"interface,omitempty"`
	Receives  bool           `json:"receives"` // datagrams to the report's address, or some of them
	Role      string         `json:"role"`
	Sockets   []socketReport `json:"sockets"`

	name         string
	severalUsers bool // that share the address by SO_REUSEADDR
}

// socketReport is a socket, with its number for a member of a group.
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

	dropped uint32 // during the watch
}

// NewReport returns the report on the sockets that receive datagrams sent to an address, or on all
// sockets of the port for an unspecified address.
func NewReport(address netip.AddrPort, w Watch) Report {
	r := Report{Address: address.String(), Looks: w.Looks, Seconds: w.Elapsed.Seconds(), Groups: []groupReport{}, Connected: []socketReport{}, Findings: []finding{}}
	wholePort := address.Addr().IsUnspecified()
	if wholePort {
		r.Address = fmt.Sprintf(":%d", address.Port())
	}
	groups, connected := Groups(w.Sockets)
	var without []groupReport // that receive nothing, listed last
	for _, g := range groups {
		if !wholePort && !g.Takes(address.Addr()) {
			continue
		}
		group := groupReport{Address: g.Local.String(), V6Only: g.V6Only, Interface: g.Interface, name: g.Name(), severalUsers: !g.OneUser()}
		group.Role, group.Receives = role(g, groups, address)
		for member, s := range g.Members {
			listed := r.socket(s)
			listed.Member = &member
			group.Sockets = append(group.Sockets, listed)
		}
		if group.Receives {
			r.Groups = append(r.Groups, group)
		} else {
			without = append(without, group)
		}
	}
	r.Groups = append(r.Groups, without...)
	for _, s := range connected {
		if wholePort || sameAddress(s.Local.Addr(), address.Addr()) {
			r.Connected = append(r.Connected, r.socket(s))
		}
	}
	for _, g := range r.Groups {
		r.Findings = append(r.Findings, findings(g.name, g.Sockets, w.Elapsed)...)
	}
	for _, s := range r.Connected {
		r.Findings = append(r.Findings, findings(s.Local+" connected to "+s.Peer, []socketReport{s}, w.Elapsed)...)
	}
	return r
}

// socket returns the report of a socket, and sets Unseen if the socket has no visible process.
func (r *Report) socket(s Watched) socketReport {
	report := socketReport{
		Local: s.Local.String(), Processes: s.Processes, UID: s.UID, QueueBytes: s.QueueBytes, BufferBytes: s.BufferBytes, Drops: s.Drops,
		Cookie: s.Cookie, Inode: s.Inode, Unread: s.Unread, dropped: s.Dropped,
	}
	if s.Peer.IsValid() {
		report.Peer = s.Peer.String()
	}
	if s.Dropped > 0 {
		report.DropsPerSecond = float64(s.Dropped) / max(r.Seconds, 1e-9)
	}
	if len(s.Processes) == 0 {
		report.Processes = []holder.Process{}
		r.Unseen = fmt.Sprintf("a process of another user, which uid %d may not see: run as root", os.Geteuid())
		if os.Geteuid() == 0 {
			r.Unseen = "the holder is the kernel (a tunnel such as WireGuard or VXLAN), a process of another PID namespace, or a process that is visible only with CAP_SYS_PTRACE"
		}
	}
	return report
}

func sameAddress(a, b netip.Addr) bool {
	return a.Unmap().WithZone("") == b.WithZone("") && (a.Zone() == b.Zone() || a.Zone() == "" || b.Zone() == "")
}

// joinWords writes a list of words: a, b and c.
func joinWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
