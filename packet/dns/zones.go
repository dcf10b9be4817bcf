// Package dns is the core of an authoritative DNS server for zones that do not change. The package
// opens no sockets: a Server has a packet.Handler for each shard, and a Stream for each connection.
//
// LoadZones reads zones from master files and renders every answer in wire form: the part of a
// reply that follows the question. A query is decoded in place. Its name is looked up in a hash
// table of all zones, label by label from the left, until the table has a node, and the answer is
// copied behind the question. Nothing is allocated, and the cost of a name is at most one lookup
// per label.
//
// An answer can be rendered before the question is known, because compressed names (RFC 1035
// section 4.1.4) point only to names behind the question, or to the end of the question's name,
// such as the zone's apex. For a name that is in a zone, the length of the question is known. For
// wildcards, missing names and delegations, pointers count from the end of the question's name, and
// each reply adds the length of the name.
//
// Answers followAlias RFC 1034 section 4.3.2 with RFC 2308 (negative answers), RFC 4592 (wildcards), RFC
// 6672 (DNAME), RFC 6891 (EDNS), RFC 8482 (a single RRset for type ANY) and RFC 9471 (glue). Where
// the RFCs leave a choice, replies equal those of Knot DNS. Signatures, zone transfers and updates
// are not supported; a TSIG record is ignored.
package dns

import (
	"errors"
	"slices"

	"github.com/udpshard/udpshard/internal/regular"
)

// Zones are all zones of a listener, with their answers. Zones do not change; any number of threads
// may use them.
type Zones struct {
	table       table
	nodes       []node
	answers     []answer
	wire        []byte         // names of nodes, and templates of answers
	relocations []uint16       // of answers: a count, and the offsets of the pointers in the template
	parts       []templatePart // of answers, in a row
	aliases     []redirection
	list        []Zone
	maxLabels   int    // labels of the longest name
	sinkhole    *Zones // has one node, for all names outside the zones
}

// Zone describes a served zone.
type Zone struct {
	Origin  string // fully qualified, as in master files
	Serial  uint32 // of the SOA record
	Records int    // without duplicates; hidden records below delegations count
	File    string // as given to LoadZones
}

// List returns the zones, in the order of the files.
func (z *Zones) List() []Zone { return slices.Clone(z.list) }

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
	kindApex                          // of a zone
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
	relocations uint32 // index in Zones.relocations; 0 is none
	parts       uint32 // index in Zones.parts, up to the end of the template; 0 for a single part
}

// typeFromAbove is the type of an extra answer of an apex: the referral with which the zone above
// ends an alias chain. No query can ask for type 0.
const typeFromAbove = 0

// redirection is the DNAME record of a node.
type redirection struct {
	answer uint32 // index of the answer with the DNAME record
	apex   string // of the record's zone
}

// LoadZones reads master files (RFC 1035 section 5.1, with $GENERATE; $INCLUDE is relative to the
// file with the directive) and renders all answers. A zone's origin is the owner of the SOA record.
// If zones contain one another, a name belongs to the zone with the longest origin. The zone above
// delegates that zone: by NS records of its own or, without such, by the NS records of the zone
// below.
//
// Duplicate records count once, and the records of a name and type get their lowest TTL (RFC 2181
// section 5). LoadZones refuses a zone with no SOA record or several; with no NS record at the
// apex; with records outside the zone or below a DNAME record; with a CNAME record beside other
// records; with more records of a name and type than a message has room for; a signed zone; an
// origin that another zone has; a file that is not regular; and a zone with more than 1 GiB of
// files. Errors begin with the file and the line; errors of several files are joined (errors.Join).
//
// A served zone of 1,000,000 names with an address each needs 102 MiB. During the load, for some
// seconds, the process grows to 760 MiB, and keeps that memory until debug.FreeOSMemory. (Measured
// on amd64 with Go 1.26.)
func LoadZones(files ...string) (*Zones, error) {
	zones := make([]*zone, 0, len(files))
	var errs []error
	for _, name := range files {
		z, err := loadZone(name)
		zones, errs = append(zones, z), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return compile(zones)
}

func loadZone(name string) (*zone, error) {
	file, err := regular.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readZone(file, name, true)
}
