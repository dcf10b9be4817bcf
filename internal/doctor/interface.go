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
		one := Interface{Name: i.Name, Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0}
		networks, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, n := range networks {
			if prefix, err := netip.ParsePrefix(n.String()); err == nil {
				one.Addresses = append(one.Addresses, prefix.Addr())
			}
		}
		found = append(found, one)
	}
	return found, nil
}

// Ethtool asks the driver of an interface.
type Ethtool struct {
	FlowHash func(name string, flow uint32) (fields uint64, err error)
	Channels func(name string) (sys.Channels, error)
	Ring     func(name string) (slots, most int, err error)
}

// devices returns the interfaces that listeners' datagrams come in by and
// that have a driver with queues: those with an address that is listened to,
// all that are up where that is any. Under bonds, VLANs and bridges are the
// devices that they are made of.
func (e *examination) devices() []string {
	var names []string
	for _, i := range e.interfaces {
		if !i.Up || i.Loopback || !slices.ContainsFunc(e.listeners, func(l Listener) bool { return i.serves(l) }) {
			continue
		}
		names = append(names, e.under(i.Name, 0)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (i Interface) serves(l Listener) bool {
	at := l.Address.Addr().Unmap()
	return at.IsUnspecified() || slices.ContainsFunc(i.Addresses, func(own netip.Addr) bool {
		return own.Unmap() == at.WithZone("") && (at.Zone() == "" || at.Zone() == i.Name)
	})
}

// under returns the devices of an interface: itself, or those below it, which
// sysfs links as lower_NAME (Linux 3.9). Who nests deeper than a few levels
// has made a loop.
func (e *examination) under(name string, depth int) (devices []string) {
	dir := filepath.Join(e.Sys, "class/net", name)
	if _, err := os.Stat(filepath.Join(dir, "device")); err == nil {
		return []string{name}
	}
	links, _ := filepath.Glob(filepath.Join(dir, "lower_*"))
	for _, link := range links {
		if depth < 5 {
			devices = append(devices, e.under(strings.TrimPrefix(filepath.Base(link), "lower_"), depth+1)...)
		}
	}
	return devices
}

// loopbackOnly says whether datagrams come from this host alone.
func (e *examination) loopbackOnly() bool {
	return !slices.ContainsFunc(e.listeners, func(l Listener) bool { return !l.Address.Addr().Unmap().IsLoopback() })
}

// unseenDevices says why there are no devices to judge.
func (e *examination) unseenDevices(c check) Finding {
	switch {
	case e.loopbackOnly():
		return c.ok("none: datagrams come from this host alone")
	case e.interfacesErr != nil:
		return c.skip("interfaces can't be listed: %v", e.interfacesErr)
	}
	if _, err := os.Stat(filepath.Join(e.Sys, "class/net")); err != nil {
		return c.skip("interfaces can't be seen: %s", why(err))
	}
	return c.skip("no interface with a device of its own serves the listeners: in a container, run doctor on the host")
}
