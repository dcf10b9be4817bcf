package systemd

import (
	"strconv"
	"strings"
)

// prefix begins the name of each descriptor that Store stores. The name of a .socket unit, or
// FileDescriptorName=, must not begin with prefix.
const prefix = "udpshard-kept-"

// Kind is the kind of a stored descriptor.
type Kind string

// The kinds of stored descriptors.
const (
	SocketKind   Kind = "socket"   // by cookie, SO_COOKIE of socket(7)
	CountersKind Kind = "counters" // by inode
	ManifestKind Kind = "set"      // by generation
)

// numberBase is the base of a kind's numbers in names: hexadecimal for cookies, as in udpshard
// sockets, decimal for inodes, as in ls, and for generations.
var numberBase = map[Kind]int{SocketKind: 16, CountersKind: 10, ManifestKind: 10}

// Name is the name of a descriptor in the store.
type Name struct {
	Kind Kind
	ID   uint64
}

// String returns the name for the manager.
func (n Name) String() string {
	return prefix + string(n.Kind) + "-" + strconv.FormatUint(n.ID, numberBase[n.Kind])
}

// ParseName parses a name. ok is false if the name is not a result of String: the descriptor is of
// a .socket unit, or was stored by another version.
func ParseName(text string) (Name, bool) {
	rest, ours := strings.CutPrefix(text, prefix)
	kind, number, _ := strings.Cut(rest, "-")
	n := Name{Kind: Kind(kind)}
	if !ours || numberBase[n.Kind] == 0 {
		return Name{}, false
	}
	var err error
	if n.ID, err = strconv.ParseUint(number, numberBase[n.Kind], 64); err != nil || n.String() != text {
		return Name{}, false
	}
	return n, true
}
