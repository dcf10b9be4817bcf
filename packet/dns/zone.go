package dns

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/arena"
	"github.com/udpshard/udpshard/internal/masterfile"
)

// zone is the content of a zone's file, from reading to compiling. Names are in wire form and in
// lower case. The memory has almost no pointers, which the garbage collector would follow, and no
// large slice that grows by copying: a zone of 1,000,000 names with an address each needs 80 MiB.
type zone struct {
	apex        string
	file        string     // name in errors
	files       []string   // names in errors; with $INCLUDE
	fileIndex   uint16     // of the last record, in files
	text        arena.Text // names and data of records
	owners      arena.List[ownerEntry]
	records     arena.List[recordEntry]
	chain       []uint32 // memory of owner
	index       []uint32 // hash table with open addressing: index in owners + 1; 0 is none
	seed        maphash.Seed
	soa         rrset
	negativeTTL uint32     // seconds for which clients may cache negative answers (RFC 2308 section 5)
	has         ownerFlags // of all names; of the apex, hasDNAME only
	numRecords  int        // without duplicates
	warnings    warnings
	soaNames    [2]string // primary server and mailbox of the SOA record

	noDataAnswer   uint32 // index of the answer for a missing type; nxdomainAnswer: for a missing name
	nxdomainAnswer uint32
}

// ownerEntry is a name of a zone. A name without records is an empty non-terminal.
type ownerEntry struct {
	name   uint32 // in text
	last   uint32 // index in records + 1 of the last record in the file; 0 is none
	node   uint32
	length uint8
	has    ownerFlags
	tag    uint16 // of the hash
}

type ownerFlags uint8

const (
	hasNS ownerFlags = 1 << iota
	hasDNAME
	hasSOA
)

func flagOf(rtype uint16) ownerFlags {
	switch rtype {
	case typeNS:
		return hasNS
	case typeDNAME:
		return hasDNAME
	case typeSOA:
		return hasSOA
	}
	return 0
}

// apexEntry is the index of the apex in zone.owners.
const apexEntry = 0

type recordEntry struct {
	previous uint32 // record of the owner: index in records + 1; 0 is none
	data     uint32 // in text
	ttl      uint32
	line     uint32
	size     uint16 // of the data
	rtype    uint16
	file     uint16 // index in files
}

// owner is a name with its records.
type owner struct {
	name     string
	sets     []rrset // by type
	entry    uint32  // index in zone.owners
	onlySelf bool    // of a wildcard: the sets are for the wildcard's own name only
}

// rrset is all records of a name and a type (RFC 2181 section 5).
type rrset struct {
	rtype    uint16
	ttl      uint32
	data     []string            // as in the wire, not compressed, in canonical order (RFC 4034 section 6.3)
	position masterfile.Position // of the first record
}

func newZone(apex, file string) *zone {
	z := &zone{apex: apex, file: file, files: []string{file}, seed: maphash.MakeSeed(), index: make([]uint32, 8)}
	z.addName(apex)
	return z
}

// isWildcard reports whether the name is a wildcard (RFC 4592 section 2.1.1).
func (o *owner) isWildcard() bool { return isWildcard(o.name) }

func isWildcard(name string) bool { return strings.HasPrefix(name, "\x01*") }

func (o *owner) set(rtype uint16) *rrset {
	for i := range o.sets {
		if o.sets[i].rtype == rtype {
			return &o.sets[i]
		}
	}
	return nil
}

// slot returns the place of a name in the index, and the tag of the name.
func (z *zone) slot(name string) (place *uint32, tag uint16) {
	h := maphash.String(z.seed, name)
	tag = uint16(h >> 48)
	mask := uint64(len(z.index) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := &z.index[i]
		if *s == 0 || z.owners.At(*s-1).tag == tag && z.nameOf(*s-1) == name {
			return s, tag
		}
	}
}

// find returns the index in owners of a name, if the zone has the name.
func (z *zone) find(name string) (at uint32, ok bool) {
	s, _ := z.slot(name)
	return *s - 1, *s != 0
}

func (z *zone) nameOf(at uint32) string {
	e := z.owners.At(at)
	return z.text.Get(e.name, int(e.length))
}

// addName returns the index in owners of a name, which is added if the zone does not have it.
func (z *zone) addName(name string) uint32 {
	s, tag := z.slot(name)
	if *s != 0 {
		return *s - 1
	}
	at := z.owners.Add(ownerEntry{name: z.text.Add(name), length: uint8(len(name)), tag: tag})
	*s = at + 1
	if n := z.owners.Len(); n > len(z.index)/2 {
		z.index = make([]uint32, 2*len(z.index))
		for i := range uint32(n) {
			s, _ := z.slot(z.nameOf(i))
			*s = i + 1
		}
	}
	return at
}

// addRecord adds a record. The name is in lower case.
func (z *zone) addRecord(name string, rtype uint16, ttl uint32, data string, pos masterfile.Position) {
	if z.files[z.fileIndex] != pos.File {
		z.setFile(pos.File)
	}
	at := z.addName(name)
	e := z.owners.At(at)
	record := z.records.Add(recordEntry{e.last, z.text.Add(data), ttl, uint32(pos.Line), uint16(len(data)), rtype, z.fileIndex})
	e.last = record + 1
	if flag := flagOf(rtype); flag != 0 {
		e.has |= flag
		if at != apexEntry || flag == hasDNAME {
			z.has |= flag
		}
	}
}

// setFile sets fileIndex. A zone of more than 65,536 files gives later records the name of the zone's
// file.
func (z *zone) setFile(name string) {
	i := slices.Index(z.files, name)
	if i < 0 {
		if i = len(z.files) % (math.MaxUint16 + 1); i > 0 {
			z.files = append(z.files, name)
		}
	}
	z.fileIndex = uint16(i)
}

// owner returns a name with its records. Sets and their records are sorted; duplicate records count
// once, and a set has the lowest TTL of its records (RFC 2181 section 5).
func (z *zone) owner(at uint32) *owner {
	o := &owner{name: z.nameOf(at), entry: at}
	records := z.chain[:0]
	for i := z.owners.At(at).last; i != 0; i = z.records.At(i - 1).previous {
		records = append(records, i-1)
	}
	z.chain = records
	for _, i := range slices.Backward(records) {
		r := z.records.At(i)
		set := o.set(r.rtype)
		if set == nil {
			o.sets = append(o.sets, rrset{rtype: r.rtype, ttl: r.ttl, position: masterfile.Position{File: z.files[r.file], Line: int(r.line)}})
			set = &o.sets[len(o.sets)-1]
		}
		set.ttl = min(set.ttl, r.ttl)
		set.data = append(set.data, z.text.Get(r.data, int(r.size)))
	}
	o.sortSets()
	return o
}

// sortSets sorts sets and records, and removes duplicate records.
func (o *owner) sortSets() {
	if len(o.sets) > 1 {
		slices.SortFunc(o.sets, func(a, b rrset) int { return cmp.Compare(a.rtype, b.rtype) })
	}
	for i := range o.sets {
		set := &o.sets[i]
		if len(set.data) == 1 {
			continue
		}
		slices.SortStableFunc(set.data, func(a, b string) int {
			return strings.Compare(canonicalData(set.rtype, a), canonicalData(set.rtype, b))
		})
		set.data = slices.CompactFunc(set.data, func(a, b string) bool {
			return canonicalData(set.rtype, a) == canonicalData(set.rtype, b)
		})
	}
}

// addEmptyNonTerminals adds the empty non-terminals above a name (RFC 8020 section 2).
func (z *zone) addEmptyNonTerminals(name string) {
	for name != z.apex {
		if name = parentName(name); name == z.apex {
			return
		}
		if _, ok := z.find(name); ok {
			return
		}
		z.addName(name)
	}
}

// delegation is what a zone tells the zone above.
type delegation struct {
	apex      string
	servers   rrset              // the NS records of the apex
	addresses map[string][]rrset // of the servers in the zone
}

// delegation returns the delegation of the zone, in memory of its own.
func (z *zone) delegation() delegation {
	d := delegation{strings.Clone(z.apex), z.owner(apexEntry).set(typeNS).clone(), make(map[string][]rrset)}
	for _, data := range d.servers.data {
		name := targetName(typeNS, data)
		server, ok := z.find(name)
		if !ok {
			continue
		}
		o := z.owner(server)
		for _, rtype := range []uint16{typeA, typeAAAA} {
			if set := o.set(rtype); set != nil && len(d.addresses[name]) < 2 {
				d.addresses[name] = append(d.addresses[name], set.clone())
			}
		}
	}
	return d
}

func (s *rrset) clone() rrset {
	c := *s
	c.data = make([]string, len(s.data))
	for i := range s.data {
		c.data[i] = strings.Clone(s.data[i])
	}
	return c
}

// delegate adds the delegation of a zone below that is loaded too (RFC 1034 sections 4.2.1 and
// 4.3.2, step 3a). If z has no NS records for the child's apex, z gets the child's NS records, and
// the addresses of their servers.
func (z *zone) delegate(child *delegation) {
	if _, state := z.locate(child.apex); state == delegated || state == redirected || isWildcard(child.apex) {
		return
	}
	add := func(name string, set *rrset) {
		for _, data := range set.data {
			z.addRecord(name, set.rtype, set.ttl, data, set.position)
		}
	}
	add(child.apex, &child.servers)
	z.addEmptyNonTerminals(child.apex)
	for name, sets := range child.addresses {
		if at, ok := z.find(name); ok {
			if o := z.owner(at); o.set(typeA) != nil || o.set(typeAAAA) != nil {
				continue
			}
		}
		for i := range sets {
			add(name, &sets[i])
		}
	}
}
