package dns

import (
	"errors"
	"io"

	"github.com/miekg/dns"
)

// zoneRecord is a record of a master file.
type zoneRecord struct {
	owner    string // in wire form
	rtype    uint16
	class    uint16
	ttl      uint32
	data     []byte // in wire form; valid until the next record
	position position
}

// readRecords reads a master file (RFC 1035 section 5.1), and calls each for the records.
func readRecords(r io.Reader, f *zoneFile, each func(zoneRecord) error) error {
	files, err := newSources(f.File)
	if err != nil {
		return err
	}
	defer files.close()
	parser := dns.NewZoneParser(files.add(r, nil, files.absolute, f.File), f.Origin, files.absolute)
	parser.SetIncludeAllowed(f.includes)
	parser.SetIncludeFS(files)
	buf := make([]byte, 65536)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		pos := files.position()
		if err := files.check(rr); err != nil {
			return err
		}
		h := rr.Header()
		end, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			return pos.errorf("%s: %w", appendType(nil, h.Rrtype), err)
		}
		n := skipName(buf[:end], 0)
		if n < 0 || end < n+10 {
			return pos.errorf("%q: not a name", h.Name)
		}
		if err := each(zoneRecord{string(buf[:n]), h.Rrtype, h.Class, h.Ttl, buf[n+10 : end], pos}); err != nil {
			return err
		}
	}
	if err := files.check(nil); err != nil {
		return err
	}
	if err := parser.Err(); err != nil {
		return files.withPosition(err)
	}
	return nil
}

// packName returns the wire form of a name in the form of master files.
func packName(text string) (string, error) {
	buf := make([]byte, maxName+1)
	n, err := dns.PackDomainName(text, buf, 0, nil, false)
	if err == nil && n > maxName {
		err = errors.New("more than 255 octets")
	}
	return string(buf[:min(n, maxName)]), err
}

// add adds a record to the zone.
func (z *zone) add(r zoneRecord) error {
	pos := r.position
	if r.class != classIN {
		return pos.errorf("class %s: only IN is served", appendClass(nil, r.class))
	}
	switch t := r.rtype; {
	case t == dns.TypeRRSIG || t == dns.TypeNSEC || t == dns.TypeNSEC3:
		return pos.errorf("%s: signed zones are not served", appendType(nil, t))
	case t == 0 || t == typeOPT || t >= 128 && t <= 255:
		return pos.errorf("%s: not a type of data (RFC 6895 section 3.1)", appendType(nil, t))
	}
	if !isValidData(r.rtype, r.data) && !mayBeEmpty(r.rtype) {
		return pos.errorf("%s: the data is too short or too long", appendType(nil, r.rtype))
	}
	name, ttl := lowerName(r.owner), r.ttl
	if ttl > 1<<31-1 { // RFC 2181 section 8
		ttl = 0
	}
	if !isWithin(name, z.apex) {
		z.warnings.add(pos.errorf("%s is outside the zone %s: the record is ignored", nameText(name), nameText(z.apex)))
		return nil
	}
	if z.text.isFull() {
		return pos.errorf("the zone needs more than 4 GiB")
	}
	z.addRecord(name, r.rtype, ttl, string(r.data), pos)
	return nil
}

// mayBeEmpty reports whether records of a type may have no data: NULL (RFC 1035 section 3.3.10),
// APL (RFC 3123 section 4), and unknown types.
func mayBeEmpty(rtype uint16) bool {
	_, known := dns.TypeToString[rtype]
	return !known || rtype == dns.TypeNULL || rtype == dns.TypeAPL
}
