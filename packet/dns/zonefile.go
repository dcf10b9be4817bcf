package dns

import (
	"fmt"
	"io"
	"strings"

	"github.com/miekg/dns"
)

// zone is a zone as its file has it, from reading to compiling. Names are in
// wire form and in lower case.
type zone struct {
	apex           string
	owners         map[string]*owner // empty non-terminals too
	sortedOwners   []*owner          // by name, then empty non-terminals
	soa            rrset
	negativeTTL    uint32 // seconds for which it may be remembered that something is not there (RFC 2308 section 5)
	children       bool   // another zone begins within it
	redirects      bool   // it has a DNAME record
	file           string // what errors call it
	records        int
	above          *zone  // the nearest zone that contains this one
	noDataAnswer   uint32 // answers where a type or a name is not there
	nxdomainAnswer uint32
}

// owner is a name with its records.
type owner struct {
	name        string
	sets        []rrset // by type
	node        uint32
	coveredNode uint32 // of a wildcard, the node for the names that it covers
	onlySelf    bool   // of a wildcard, not for these
}

// rrset is all records of a name and a type (RFC 2181 section 5).
type rrset struct {
	rtype    uint16
	ttl      uint32
	data     []string // as in the wire, not compressed, in canonical order (RFC 4034 section 6.3)
	position position // of the first
}

// place is where in its file a record is.
type position struct {
	file *string
	line int
}

func (p position) String() string { return fmt.Sprintf("%s:%d", *p.file, p.line) }

func (p position) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p}, args...)...)
}

// wild reports whether the name is a wildcard's (RFC 4592 section 2.1.1).
func (o *owner) isWildcard() bool { return strings.HasPrefix(o.name, "\x01*") }

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

	z := &zone{file: name, owners: make(map[string]*owner)}
	var apexes []position
	buf := make([]byte, 65536)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		where := files.position()
		if err := files.check(rr); err != nil {
			return nil, err
		}
		if err := z.add(rr, buf, where); err != nil {
			return nil, err
		}
		if rr.Header().Rrtype == typeSOA {
			apexes = append(apexes, where)
		}
	}
	if err := files.check(nil); err != nil {
		return nil, err
	}
	if err := parser.Err(); err != nil {
		return nil, files.withPosition(err)
	}
	if err := z.check(name, apexes); err != nil {
		return nil, err
	}
	return z, nil
}

// add takes a record as it is in the wire.
func (z *zone) add(rr dns.RR, buf []byte, where position) error {
	h := rr.Header()
	if h.Class != classIN {
		return where.errorf("class %s: only IN is served", appendClass(nil, h.Class))
	}
	switch t := h.Rrtype; {
	case t == dns.TypeRRSIG || t == dns.TypeNSEC || t == dns.TypeNSEC3:
		return where.errorf("%s: signed zones are not served", appendType(nil, t))
	case t == 0 || t == typeOPT || t >= 128 && t <= 255:
		return where.errorf("%s: not a type of data (RFC 6895 section 3.1)", appendType(nil, t))
	}
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return where.errorf("%s: %w", appendType(nil, h.Rrtype), err)
	}
	n := skipName(buf[:end], 0)
	if n < 0 || end < n+10 {
		return where.errorf("%q: not a name", h.Name)
	}
	if !isValidData(h.Rrtype, buf[n+10:end]) && !mayBeEmpty(h.Rrtype) {
		return where.errorf("%s: the data is too short or too long", appendType(nil, h.Rrtype))
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
		o.sets = append(o.sets, rrset{rtype: h.Rrtype, ttl: ttl, position: where})
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
