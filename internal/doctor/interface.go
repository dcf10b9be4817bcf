package doctor

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/sys"
)

// Interface is a network interface.
type Interface struct {
	Name      string
	Up        bool
	Loopback  bool
	Addresses []netip.Addr
}

func interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	found := make([]Interface, 0, len(all))
	for _, i := range all {
		iface := Interface{Name: i.Name, Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0}
		networks, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, n := range networks {
			if prefix, err := netip.ParsePrefix(n.String()); err == nil {
				iface.Addresses = append(iface.Addresses, prefix.Addr())
			}
		}
		found = append(found, iface)
	}
	return found, nil
}

// Ethtool asks the driver of an interface.
type Ethtool struct {
	FlowHash func(name string, flow uint32) (fields uint64, err error)
	Channels func(name string) (sys.Channels, error)
	Ring     func(name string) (slots, most int, err error)
}

// devices returns the devices with a driver on which the listeners' datagrams arrive: those of
// interfaces with an address of a listener, and of all interfaces that are up for a wildcard
// listener.
func (e *examination) devices() []string {
	var names []string
	for _, i := range e.interfaces {
		if i.Up && !i.Loopback && slices.ContainsFunc(e.listeners, i.serves) {
			names = append(names, e.devicesOf(i.Name, 0)...)
		}
	}
	return unique(names)
}

func (i Interface) serves(l Listener) bool {
	at := l.Address.Addr().Unmap()
	return at.IsUnspecified() || slices.ContainsFunc(i.Addresses, func(own netip.Addr) bool {
		return own.Unmap() == at.WithZone("") && (at.Zone() == "" || at.Zone() == i.Name)
	})
}

// devicesOf returns the devices of an interface: the interface itself, or the devices below a
// bond, VLAN or bridge, which sysfs links as lower_NAME (Linux 3.9). depth ends a loop.
func (e *examination) devicesOf(name string, depth int) (devices []string) {
	dir := filepath.Join(e.Sys, "class/net", name)
	if _, err := os.Stat(filepath.Join(dir, "device")); err == nil {
		return []string{name}
	}
	links, _ := filepath.Glob(filepath.Join(dir, "lower_*"))
	for _, link := range links {
		if depth < 5 {
			devices = append(devices, e.devicesOf(strings.TrimPrefix(filepath.Base(link), "lower_"), depth+1)...)
		}
	}
	return devices
}

// loopbackOnly reports whether all datagrams come from this host.
func (e *examination) loopbackOnly() bool {
	return !slices.ContainsFunc(e.listeners, func(l Listener) bool { return !l.Address.Addr().Unmap().IsLoopback() })
}

// noDevices reports why no device is checked.
func (e *examination) noDevices(r *results) {
	_, err := os.Stat(filepath.Join(e.Sys, "class/net"))
	switch {
	case e.loopbackOnly():
		r.ok("no device: all datagrams come from this host")
	case e.interfacesErr != nil:
		r.skip("interfaces can't be listed: %v", e.interfacesErr)
	case err != nil:
		r.skip("interfaces can't be listed: %s", why(err))
	default:
		r.skip("no interface with a device serves the listeners: in a container, run doctor on the host")
	}
}
