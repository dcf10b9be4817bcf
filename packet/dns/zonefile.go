package dns

import (
	"io"

	"github.com/miekg/dns"
)

// readZone reads a master file (RFC 1035 section 5.1) and checks the rules for zones. name is the
// file's name in errors.
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
		pos := files.position()
		if err := files.check(rr); err != nil {
			return nil, err
		}
		if err := z.add(rr, buf, pos); err != nil {
			return nil, err
		}
		if rr.Header().Rrtype == typeSOA {
			apexes = append(apexes, pos)
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

// add adds a record to the zone, in wire form.
func (z *zone) add(rr dns.RR, buf []byte, pos position) error {
	h := rr.Header()
	if h.Class != classIN {
		return pos.errorf("class %s: only IN is served", appendClass(nil, h.Class))
	}
	switch t := h.Rrtype; {
	case t == dns.TypeRRSIG || t == dns.TypeNSEC || t == dns.TypeNSEC3:
		return pos.errorf("%s: signed zones are not served", appendType(nil, t))
	case t == 0 || t == typeOPT || t >= 128 && t <= 255:
		return pos.errorf("%s: not a type of data (RFC 6895 section 3.1)", appendType(nil, t))
	}
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return pos.errorf("%s: %w", appendType(nil, h.Rrtype), err)
	}
	n := skipName(buf[:end], 0)
	if n < 0 || end < n+10 {
		return pos.errorf("%q: not a name", h.Name)
	}
	if !isValidData(h.Rrtype, buf[n+10:end]) && !mayBeEmpty(h.Rrtype) {
		return pos.errorf("%s: the data is too short or too long", appendType(nil, h.Rrtype))
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
		o.sets = append(o.sets, rrset{rtype: h.Rrtype, ttl: ttl, position: pos})
		set = &o.sets[len(o.sets)-1]
	}
	// A set has a single TTL (RFC 2181 section 5.2): the lowest.
	set.ttl = min(set.ttl, ttl)
	set.data = append(set.data, data)
	return nil
}

// mayBeEmpty reports whether records of a type may have no data: NULL (RFC 1035 section 3.3.10),
// APL (RFC 3123 section 4), and unknown types.
func mayBeEmpty(rtype uint16) bool {
	_, known := dns.TypeToString[rtype]
	return !known || rtype == dns.TypeNULL || rtype == dns.TypeAPL
}
