package dns

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// zone is a zone as its file has it, from reading to compiling. Names are in
// wire form and in lower case.
type zone struct {
	apex     string
	owners   map[string]*owner // empty non-terminals too
	all      []*owner          // by name, then empty non-terminals
	soa      rrset
	negative uint32 // seconds for which it may be remembered that something is not there (RFC 2308 section 5)
	children bool   // another zone begins within it
	above    *zone  // the nearest zone that contains this one
	nodata   uint32 // answers where a type or a name is not there
	nxdomain uint32
}

// owner is a name with its records.
type owner struct {
	name string
	sets []rrset // by type
	node uint32
}

// rrset is all records of a name and a type (RFC 2181 section 5).
type rrset struct {
	rtype uint16
	ttl   uint32
	data  []string // as in the wire, not compressed, in canonical order (RFC 4034 section 6.3)
	where place    // of the first
}

// place is where in its file a record is.
type place struct {
	file *string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", *p.file, p.line) }

func (p place) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p}, args...)...)
}

// wild reports whether the name is a wildcard's (RFC 4592 section 2.1.1).
func (o *owner) wild() bool { return strings.HasPrefix(o.name, "\x01*") }

func (o *owner) set(rtype uint16) *rrset {
	for i := range o.sets {
		if o.sets[i].rtype == rtype {
			return &o.sets[i]
		}
	}
	return nil
}

// readZone reads a master file (RFC 1035 section 5.1) and holds it to the
// rules for zones. name is what errors call it.
func readZone(r io.Reader, name string, includes bool) (*zone, error) {
	files, err := newSources(name)
	if err != nil {
		return nil, err
	}
	defer files.close()
	parser := dns.NewZoneParser(files.add(r, nil, files.absolute, name), "", files.absolute)
	parser.SetIncludeAllowed(includes)
	parser.SetIncludeFS(files)

	z := &zone{owners: make(map[string]*owner)}
	var apexes []place
	buf := make([]byte, 65536)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		where := files.place()
		if err := z.add(rr, buf, where); err != nil {
			return nil, err
		}
		if rr.Header().Rrtype == typeSOA {
			apexes = append(apexes, where)
		}
	}
	if err := parser.Err(); err != nil {
		return nil, files.explain(err)
	}
	if err := z.check(name, apexes); err != nil {
		return nil, err
	}
	return z, nil
}

// add takes a record as it is in the wire.
func (z *zone) add(rr dns.RR, buf []byte, where place) error {
	h := rr.Header()
	if h.Class != classIN {
		return where.errorf("class %s: only IN is served", AppendClass(nil, h.Class))
	}
	switch t := h.Rrtype; {
	case t == dns.TypeRRSIG || t == dns.TypeNSEC || t == dns.TypeNSEC3:
		return where.errorf("%s: signed zones are not served", AppendType(nil, t))
	case t == 0 || t == typeOPT || t >= 128 && t <= 255:
		return where.errorf("%s: not a type of data (RFC 6895 section 3.1)", AppendType(nil, t))
	}
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return where.errorf("%s: %w", AppendType(nil, h.Rrtype), err)
	}
	n := skipName(buf[:end], 0)
	if n < 0 || end < n+10 {
		return where.errorf("%q: not a name", h.Name)
	}
	if !layoutOf(h.Rrtype).fits(buf[n+10:end]) && !mayBeEmpty(h.Rrtype) {
		return where.errorf("%s: the data is too short or too long", AppendType(nil, h.Rrtype))
	}
	name, data := lowerName(string(buf[:n])), string(buf[n+10:end])
	ttl := h.Ttl
	if ttl > 1<<31-1 { // RFC 2181 section 8
		ttl = 0
	}

	if h.Rrtype == typeSOA && z.apex == "" {
		z.apex = name
	}
	o := z.owners[name]
	if o == nil {
		o = &owner{name: name}
		z.owners[name] = o
	}
	set := o.set(h.Rrtype)
	if set == nil {
		o.sets = append(o.sets, rrset{rtype: h.Rrtype, ttl: ttl, where: where})
		set = &o.sets[len(o.sets)-1]
	}
	// One set has one TTL (RFC 2181 section 5.2): the lowest.
	set.ttl = min(set.ttl, ttl)
	set.data = append(set.data, data)
	return nil
}

// mayBeEmpty reports whether a type may have no data: NULL (RFC 1035 section
// 3.3.10), APL (RFC 3123 section 4), and those that are not known.
func mayBeEmpty(rtype uint16) bool {
	_, known := dns.TypeToString[rtype]
	return !known || rtype == dns.TypeNULL || rtype == dns.TypeAPL
}

// check holds the zone to the rules, and completes it.
func (z *zone) check(name string, apexes []place) error {
	if z.apex == "" {
		return fmt.Errorf("%s: no SOA record", name)
	}
	for _, o := range z.owners {
		o.arrange()
	}
	apex := z.owners[z.apex]
	z.soa = *apex.set(typeSOA)
	z.all = sorted(z.owners)
	for _, o := range z.all {
		if set := o.set(typeSOA); set != nil && o != apex {
			return set.where.errorf("a second SOA record, of %s", text(o.name))
		} else if set != nil && len(set.data) > 1 {
			return apexes[1].errorf("a second SOA record")
		}
		if !within(o.name, z.apex) {
			return o.sets[0].where.errorf("%s is outside the zone %s", text(o.name), text(z.apex))
		}
		if err := z.checkOwner(o); err != nil {
			return err
		}
		for up := o.name; up != z.apex; {
			up = parent(up)
			if z.owners[up] != nil {
				break
			}
			between := &owner{name: up}
			z.owners[up] = between
			z.all = append(z.all, between)
		}
	}
	if apex.set(typeNS) == nil {
		return z.soa.where.errorf("the zone %s has no NS record at its apex", text(z.apex))
	}
	if set := apex.set(typeDS); set != nil {
		return set.where.errorf("DS at the apex: it belongs to the zone above (RFC 4035 section 2.4)")
	}
	data := []byte(z.soa.data[0])
	z.negative = min(z.soa.ttl, binary.BigEndian.Uint32(data[len(data)-4:]))
	return nil
}

func (z *zone) checkOwner(o *owner) error {
	cname, dname := o.set(typeCNAME), o.set(typeDNAME)
	switch {
	case cname != nil && len(cname.data) > 1:
		return cname.where.errorf("%s has several CNAME records (RFC 2181 section 10.1)", text(o.name))
	case cname != nil && len(o.sets) > 1:
		return cname.where.errorf("%s has a CNAME record and others (RFC 1034 section 3.6.2)", text(o.name))
	case dname != nil && len(dname.data) > 1:
		return dname.where.errorf("%s has several DNAME records (RFC 6672 section 2.4)", text(o.name))
	case dname != nil && o.set(typeNS) != nil && o.name != z.apex:
		return dname.where.errorf("%s has a DNAME record and is delegated (RFC 6672 section 2.3)", text(o.name))
	}
	if o.wild() {
		for _, set := range o.sets {
			if set.rtype == typeNS || set.rtype == typeDNAME {
				return set.where.errorf("%s at a wildcard has no meaning (RFC 4592 section 4)", AppendType(nil, set.rtype))
			}
		}
	}
	for up := o.name; up != z.apex; {
		up = parent(up)
		if above := z.owners[up]; above != nil && above.set(typeDNAME) != nil {
			return o.sets[0].where.errorf("%s is below the DNAME record of %s (RFC 6672 section 2.4)", text(o.name), text(up))
		}
	}
	return nil
}

// arrange brings sets and records into order, and removes records that are
// there twice.
func (o *owner) arrange() {
	slices.SortFunc(o.sets, func(a, b rrset) int { return cmp.Compare(a.rtype, b.rtype) })
	for i := range o.sets {
		set := &o.sets[i]
		if len(set.data) == 1 {
			continue
		}
		slices.SortStableFunc(set.data, func(a, b string) int {
			return strings.Compare(canonical(set.rtype, a), canonical(set.rtype, b))
		})
		set.data = slices.Clip(slices.CompactFunc(set.data, func(a, b string) bool {
			return canonical(set.rtype, a) == canonical(set.rtype, b)
		}))
	}
}

func sorted(owners map[string]*owner) []*owner {
	all := make([]*owner, 0, len(owners))
	for _, o := range owners {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *owner) int { return strings.Compare(a.name, b.name) })
	return all
}

// sources are the files of a zone, which know the line that was last read
// from them: the parser's records do not.
type sources struct {
	name, absolute string
	all            []*source
}

type source struct {
	fs.File // nil once it is closed, and of a reader that is not a file
	reader  *bufio.Reader
	parser  string // what the parser calls it
	name    string // what errors call it
	line    int
	ended   bool    // the last byte ended a line
	begin   [9]byte // of the line
	column  int
}

// generates reports whether the last line was $GENERATE, from which the parser
// makes text of its own, with lines that it numbers itself.
func (f *source) generates() bool { return strings.EqualFold(string(f.begin[:]), "$GENERATE") }

func newSources(name string) (*sources, error) {
	absolute, err := filepath.Abs(name) // so that names of included files are, too
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &sources{name: name, absolute: absolute}, nil
}

func (s *sources) add(r io.Reader, file fs.File, parser, name string) *source {
	f := &source{File: file, reader: bufio.NewReaderSize(r, 65536), parser: parser, name: name, line: 1}
	s.all = append(s.all, f)
	return f
}

// Open implements fs.FS for $INCLUDE. The parser has made the path absolute
// and cut the slash off its front.
func (s *sources) Open(path string) (fs.File, error) {
	file, err := os.Open("/" + path)
	if err != nil {
		return nil, err
	}
	name := "/" + path
	if relative, err := filepath.Rel(filepath.Dir(s.absolute), name); err == nil && filepath.IsLocal(relative) {
		name = filepath.Join(filepath.Dir(s.name), relative)
	}
	return s.add(file, file, path, name), nil
}

// place is where the record ended that was read last.
func (s *sources) place() place {
	last := len(s.all) - 1
	for last > 0 && s.all[last].File == nil {
		last--
	}
	return place{&s.all[last].name, s.all[last].line}
}

func (s *sources) close() {
	for _, f := range s.all {
		f.Close()
	}
}

var parseError = regexp.MustCompile(`(?s)^(?:(.*?): )?dns: (.*) at line: ([0-9]+):[0-9]+$`)

// explain puts the file and the line first, as all errors have them.
func (s *sources) explain(err error) error {
	if m := parseError.FindStringSubmatch(err.Error()); m != nil {
		for _, f := range s.all {
			if f.parser == m[1] {
				if f.generates() {
					m[3] = strconv.Itoa(f.line)
				}
				return fmt.Errorf("%s:%s: %s%s", f.name, m[3], m[2], hint(m[2]))
			}
		}
	}
	return s.place().errorf("%w", err)
}

// hint says what is not obvious in the parser's words.
func hint(message string) string {
	if strings.HasPrefix(message, "bad owner name") {
		return " (a relative name needs $ORIGIN before it)"
	}
	return ""
}

// ReadByte implements io.ByteReader, by which the parser reads.
func (f *source) ReadByte() (byte, error) {
	c, err := f.reader.ReadByte()
	if err != nil {
		return 0, err
	}
	if f.ended {
		f.line++
		f.column = 0
	}
	if f.ended = c == '\n'; f.column < len(f.begin) {
		f.begin[f.column] = c
		f.column++
	}
	return c, nil
}

func (f *source) Read(p []byte) (int, error) { return f.reader.Read(p) }

func (f *source) Close() error {
	if f.File == nil {
		return nil
	}
	file := f.File
	f.File = nil
	return file.Close()
}
