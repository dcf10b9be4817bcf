package systemd

import (
	"strconv"
	"strings"
)

// prefix begins the name of all that Put stores. A .socket unit's name, or
// its FileDescriptorName=, is not to begin like that.
const prefix = "udpshard-kept-"

// Kind is what a kept descriptor is.
type Kind string

// The kinds of a Set's descriptors.
const (
	SocketKind   Kind = "socket"   // by its cookie, SO_COOKIE of socket(7)
	CountersKind Kind = "counters" // by its inode
	ManifestKind Kind = "set"      // by the generation of its set
)

// base is how a kind's numbers are written: cookies as udpshard sockets shows
// them, inodes as ls does, generations as people count.
var numberBase = map[Kind]int{SocketKind: 16, CountersKind: 10, ManifestKind: 10}

// Name is the name of a descriptor of a Set in the store.
type Name struct {
	Kind Kind
	ID   uint64
}

// String is the name as the manager knows it.
func (n Name) String() string {
	return prefix + string(n.Kind) + "-" + strconv.FormatUint(n.ID, numberBase[n.Kind])
}

// ParseName reads a name. It is not ok if String could not have made it: then
// the descriptor is a .socket unit's, or was stored by another version.
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
