// Package dns answers DNS queries from zones that do not change: the core of an
// authoritative server, that knows no sockets.
//
// Zones are read from master files once, and every answer is rendered then, in
// wire form: all that follows the question. A Query is decoded in place; its
// name is looked up in one hash table of all zones, label by label from the
// left until one is there, and the answer is copied behind the question.
// Nothing is allocated, and no name costs more than a look-up a label.
//
// What a reply has behind the question can be rendered before the question is
// known, because compressed names (RFC 1035 section 4.1.4) point only to names
// behind the question, or to the end of the question's own: the zone's apex,
// say. For names that are in a zone the question's length is known, too. For
// those that a wildcard makes, for names that are not there and for
// delegations, the pointers count from where the question's name ends, and its
// length is added to each.
//
// What is answered follows RFC 1034 section 4.3.2 with RFC 2308 (what is not
// there), RFC 4592 (wildcards), RFC 6672 (DNAME), RFC 6891 (EDNS), RFC 8482
// (type ANY gets one RRset) and RFC 9471 (glue). Where they leave a choice, it
// is Knot DNS's, whose replies these equal. Zones are not signed, not
// transferred and not updated; a TSIG record is passed over.
package dns

import (
	"errors"
	"slices"

	"github.com/udpshard/udpshard/internal/regular"
)

// Zones are all zones of a listener, with their answers. They do not change;
// any number of threads may ask.
type Zones struct {
	table       table
	nodes       []node
	answers     []answer
	wire        []byte         // names of nodes and templates of answers
	relocations []uint16       // of answers: how many, and where
	parts       []templatePart // of answers, in a row
	aliases     []redirection
	list        []Zone
	maxLabels   int    // labels of the longest name
	sinkhole    *Zones // with one node, for names that no zone has
}

// Zone says which zone is served.
type Zone struct {
	Origin  string // fully qualified, as in master files
	Serial  uint32 // of its SOA record
	Records int    // with what delegations hide; one that is there twice counts once
	File    string // as LoadZones was given it
}

// List returns the zones, in the order in which they were given.
func (z *Zones) List() []Zone { return slices.Clone(z.list) }

// node is a name that a query can be about: not what a delegation or another
// zone hides.
type node struct {
	name          uint32 // in wire
	firstAnswer   answer // what type ANY gets, and all that most names have; its type is 0 if there is none
	moreAnswers   uint32 // of the other answers, by type
	numAnswers    uint16
	length        uint8 // of the name
	kind          nodeKind
	noDataAnswer  uint32 // the answer for types without one
	missingAnswer uint32 // the answer for names below that are not there; of a DNAME record, in aliases
	wildcard      uint32 // the node whose answers they get, if there is one
}

type nodeKind uint8

const (
	kindAny      nodeKind = 1 << iota // type ANY gets the only answer
	kindApex                          // of a zone
	kindRedirect                      // has a DNAME record
	kindAlias                         // has a CNAME record
)

// answer is what follows the question in a reply.
type answer struct {
	offset      uint32 // its template, in wire
	size        uint16 // of the template
	rtype       uint16
	flags       uint16 // for the header's second word
	an, ns      uint16 // records in each section
	ar          uint16
	relocations uint32 // in Zones.moves; 0 where nothing moves
	parts       uint32 // in Zones.parts, up to where the template ends; 0 where it has one part or none
}

// typeFromAbove is the type of an apex's answer that nobody can ask for: the
// referral with which the zone above ends a chain of aliases.
const typeFromAbove = 0

// redirection is what a DNAME record makes of the names below it.
type redirection struct {
	answer uint32 // the DNAME record
	apex   string // of its zone
}

// LoadZones reads master files (RFC 1035 section 5.1, with $GENERATE; $INCLUDE
// is relative to the file that has it) and renders all answers. A zone's
// origin is its SOA record's owner. Where zones contain one another, a name is
// in the one with the longest origin; the zone above delegates it, if not by
// NS records of its own, by those of the zone below.
//
// Records that are there twice count once, and the records of a name and type
// get the lowest of their TTLs (RFC 2181 section 5). rcodeRefused are zones that
// break the rules: with no SOA record or several, with none of NS at the apex,
// with records outside the zone or below a DNAME record, with something beside
// a CNAME record, or with more records of a name and type than a message has
// room for; signed zones, and an origin that another zone has; what is not
// a regular file; and more than 1 GiB of files for a zone. Errors begin with the file and
// the line; those of several files are joined (errors.Join).
//
// A zone of 1,000,000 names with an address each holds 102 MiB while it is
// served. While it is loaded, for some seconds, the process grows to 760 MiB, and
// keeps that until debug.FreeOSMemory. (Measured on amd64 with Go 1.26.)
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
