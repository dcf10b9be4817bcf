// Package masterfile reads master files of zones: RFC 1035 section 5 with $TTL (RFC 2308 section
// 4), types and classes by number (RFC 3597 section 5), and $GENERATE as in BIND. Where the RFCs
// leave a choice, the package reads what BIND reads. The package knows entries, names and TTLs;
// package rdata knows the data of the types.
//
// A file is read once, in chunks. Lexer fields are substrings of a chunk, and a record costs no
// allocation but its data and, unless the record before has the same owner, its owner.
package masterfile

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// Record is a resource record of class IN.
type Record struct {
	Owner    string // in wire form, with the upper and lower case of the file
	Type     uint16
	TTL      uint32 // seconds, at most 2^31-1
	Data     []byte // in wire form, without compression; rdata.Check accepts the data
	Position Position
}

// Options are the options of Read.
type Options struct {
	// Origin completes relative names until the first $ORIGIN; in wire form. If Origin is empty and
	// the file begins without $ORIGIN, relative names are completed with the owner of the SOA record
	// or, if that name is relative too, with the name of the file: see originOf.
	Origin string
	// NoIncludes makes $INCLUDE an error.
	NoIncludes bool
	// Warn receives what is wrong in records that are read nevertheless; nil drops the warnings.
	Warn func(Position, error)
}

const (
	// maxBytes is the limit for the files of a zone together, where a file counts as often as it is
	// included, and the records of $GENERATE count as their text.
	maxBytes = 1 << 30

	// maxIncludes is the limit for files that include one another, so that a file that includes
	// itself is an error before the process runs out of file descriptors.
	maxIncludes = 16
)

// reader is the state of Read.
type reader struct {
	options       Options
	each          func(Record) error
	bytesLeft     int64  // of maxBytes
	statedOrigin  string // by Options or $ORIGIN; empty if there is none
	impliedOrigin string // without a stated origin: of the SOA record, or of the file's name
	owner         ownerName
	ttl           ttls
	position      Position // of the current entry
}

// ownerName is the owner of the last record, in wire form and as in the file.
type ownerName struct{ wire, text, origin string }

// Read reads a master file and its $INCLUDE files, and calls each for the records, in order. file
// is the name of the file for r; names of included files are relative to the folder of the file
// with the directive. Included files are regular files. Read ends at the first error: an error of
// each is returned as it is, other errors begin with the file and the line.
func Read(file string, r io.Reader, o Options, each func(Record) error) error {
	rd := reader{options: o, each: each, bytesLeft: maxBytes, statedOrigin: o.Origin, impliedOrigin: originOf(file)}
	return rd.readFile(file, r, 0)
}

// originOf returns the domain name that the name of a file spells: example.org, example.org.zone
// or example.org.db; an empty string if there is none. A name without .zone and .db needs a dot,
// and no db. at the front, since in db.example.org and db.192.0.2 that is no label.
func originOf(file string) string {
	base := filepath.Base(file)
	name := strings.TrimSuffix(strings.TrimSuffix(base, ".zone"), ".db")
	if name == base && (!strings.Contains(name, ".") || strings.HasPrefix(name, "db.")) {
		return ""
	}
	for _, c := range []byte(name) {
		if c != '.' && c != '-' && c != '_' && c != '/' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	name = strings.TrimSuffix(name, ".")
	if origin, err := rdata.ParseName(name+".", ""); err == nil && name != "" {
		return origin
	}
	return ""
}

// limitedReader reads from a file, up to the limit for all files of the zone.
type limitedReader struct {
	io.Reader
	rd *reader
}

func (l limitedReader) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err := l.rd.use(n); err != nil {
		return 0, err
	}
	return n, err
}

// use counts bytes of a file, or of the text of a generated record.
func (rd *reader) use(n int) error {
	if rd.bytesLeft -= int64(n); rd.bytesLeft < 0 {
		return fmt.Errorf("the zone has more than %d bytes, with its $INCLUDE files and $GENERATE records", maxBytes)
	}
	return nil
}

func (rd *reader) readFile(name string, r io.Reader, includes int) error {
	s := newSource(name, limitedReader{r, rd})
	for {
		if err := s.readEntry(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		e := &s.entry
		if len(e.fields) == 0 {
			continue
		}
		rd.position = Position{name, e.line}
		if first := e.fields[0]; !e.indented && !first.Quoted && first.Text[0] == '$' {
			if err := rd.readDirective(e, includes); err != nil {
				return err
			}
			continue
		}
		if err := rd.readRecord(e); err != nil {
			return err
		}
	}
}

func (rd *reader) errorf(format string, args ...any) error {
	return rd.position.Errorf(format, args...)
}

func (rd *reader) warn(format string, args ...any) {
	if rd.options.Warn != nil {
		rd.options.Warn(rd.position, fmt.Errorf(format, args...))
	}
}

// readRecord reads a record (RFC 1035 section 5.1): [owner] [TTL] [class] type data, or with the
// class before the TTL.
func (rd *reader) readRecord(e *entry) error {
	fields := e.fields
	if !e.indented {
		if err := rd.setOwner(fields[0].Text); err != nil {
			return err
		}
		fields = fields[1:]
	} else if rd.owner.wire == "" {
		return rd.errorf("no owner: the line begins with white space, and no record is before the line")
	}
	h, fields, err := parseHeader(fields)
	if err != nil {
		return rd.errorf("%w", err)
	}
	if e.innerQuotes {
		fields = dataFields(h.rtype, fields)
	}
	return rd.add(h, fields)
}

// origin returns the name that completes relative names; empty if there is none.
func (rd *reader) origin() string {
	if rd.statedOrigin != "" {
		return rd.statedOrigin
	}
	return rd.impliedOrigin
}

// setOwner sets the owner of the current record.
func (rd *reader) setOwner(text string) error {
	origin := rd.origin()
	if text == rd.owner.text && origin == rd.owner.origin {
		return nil
	}
	wire, err := rd.parseName(text)
	if err != nil {
		return err
	}
	rd.owner = ownerName{wire, text, origin}
	return nil
}

func (rd *reader) parseName(text string) (string, error) {
	origin := rd.origin()
	if origin == "" && !isAbsolute(text) {
		return "", rd.errorf("%.80q: %w", text, errNoOrigin)
	}
	wire, err := rdata.ParseName(text, origin)
	if err != nil {
		return "", rd.errorf("%.80q: %w", text, err)
	}
	return wire, nil
}

var errNoOrigin = errors.New("a relative name needs an origin: write $ORIGIN before the name, or name the file after the zone")

// isAbsolute reports whether the text of a name ends with a dot that is not escaped.
func isAbsolute(text string) bool {
	name, absolute := strings.CutSuffix(text, ".")
	backslashes := len(name) - len(strings.TrimRight(name, `\`))
	return absolute && backslashes%2 == 0
}

// add parses the data of a record of the current owner, and passes the record on.
func (rd *reader) add(h header, fields []rdata.Field) error {
	if h.rtype == typeSOA && isAbsolute(rd.owner.text) {
		rd.impliedOrigin = rd.owner.wire
	}
	data, err := rdata.Parse(h.rtype, fields, rd.origin())
	if err != nil {
		return rd.errorf("%w", err)
	}
	ttl, err := rd.ttl.next(h, data, rd.warn)
	if err != nil {
		return rd.errorf("%w", err)
	}
	return rd.each(Record{rd.owner.wire, h.rtype, ttl, data, rd.position})
}
