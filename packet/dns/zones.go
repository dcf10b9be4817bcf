// Package dns is the core of an authoritative DNS server for zones that do not change. The package
// opens no sockets: a Server has a packet.Handler for each shard, and a Stream for each connection.
//
// Load reads zones from master files and renders every answer in wire form: the part of a reply
// that follows the question. A query is decoded in place. The origin of its zone is found first.
// Then the name is looked up in a hash table of the zone, label by label from the left, until the
// table has a node, and the answer is copied behind the question. Nothing is allocated, and the
// cost of a name is at most two lookups per label.
//
// An answer can be rendered before the question is known, because compressed names (RFC 1035
// section 4.1.4) point only to names behind the question, or to the end of the question's name,
// such as the zone's apex. For a name that is in a zone, the length of the question is known. For
// wildcards, missing names and delegations, pointers count from the end of the question's name, and
// each reply adds the length of the name.
//
// Answers follow RFC 1034 section 4.3.2 with RFC 2308 (negative answers), RFC 4592 (wildcards), RFC
// 6672 (DNAME), RFC 6891 (EDNS), RFC 8482 (a single RRset for type ANY) and RFC 9471 (glue). Where
// the RFCs leave a choice, replies equal those of Knot DNS. Signatures, zone transfers and updates
// are not supported; a TSIG record is ignored.
package dns

// Zones are all zones of a listener, with their answers. Zones do not change; any number of threads
// may use them.
type Zones struct {
	list                 []*servedZone // in the order of the sources
	byApex               map[string]*servedZone
	minLabels, maxLabels int         // of the apexes
	sinkhole             *servedZone // has one node, for all names outside the zones; nil: none
	failed               []*ZoneError
	warnings             []error
}

// servedZone is a zone with its answers. Zones share nothing, so each can be replaced alone.
type servedZone struct {
	table       table
	nodes       []node
	answers     []answer
	wire        []byte         // names of nodes, and templates of answers
	relocations []uint16       // of answers: a count, and the offsets of the pointers in the template
	parts       []templatePart // of answers, in a row
	aliases     []uint32       // of DNAME records: index of the answer with the record
	maxLabels   int            // labels of the longest name
	apex        string
	info        Zone
	unloaded    bool       // the zone's file is bad: all answers are SERVFAIL
	delegation  delegation // for the zone above
}

// Zone describes a served zone.
type Zone struct {
	Origin  string // fully qualified, as in master files
	Serial  uint32 // of the SOA record
	Records int    // without duplicates; hidden records below delegations count
	File    string // as given to Load
}

// List returns the zones that are served, in the order of their sources.
func (z *Zones) List() []Zone {
	all := make([]Zone, len(z.list))
	for i, zone := range z.list {
		all[i] = zone.info
	}
	return all
}

// node is a name with answers. Names that a delegation or another zone hides have no node.
type node struct {
	name          uint32 // offset in wire
	firstAnswer   answer // the answer to type ANY, and the only answer of most names; type 0 if the name has no answer
	moreAnswers   uint32 // index of the other answers, by type
	numAnswers    uint16
	length        uint8 // of the name
	kind          nodeKind
	noDataAnswer  uint32 // index of the answer for other types
	missingAnswer uint32 // index of the answer for missing names below; with a DNAME record, index in aliases
	wildcard      uint32 // index of the wildcard's node for missing names below; 0 is none
}

type nodeKind uint8

const (
	kindAny      nodeKind = 1 << iota // firstAnswer answers type ANY
	kindRedirect                      // has a DNAME record
	kindAlias                         // has a CNAME record
)

// answer is the part of a reply that follows the question.
type answer struct {
	offset      uint32 // of the template, in wire
	size        uint16 // of the template
	rtype       uint16
	flags       uint16 // for the flags word of the header
	an, ns      uint16 // number of records in each section
	ar          uint16
	relocations uint32 // index in servedZone.relocations; 0 is none
	parts       uint32 // index in servedZone.parts, up to the end of the template; 0 for a single part
}
