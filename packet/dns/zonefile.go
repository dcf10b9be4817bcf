package dns

import (
	"fmt"
	"io"

	"github.com/udpshard/udpshard/internal/masterfile"
)

// readRecords reads the master file of a zone, and calls each for the records.
func readRecords(r io.Reader, f *zoneFile, warn func(masterfile.Position, error), each func(masterfile.Record) error) error {
	o := masterfile.Options{NoIncludes: !f.includes, Warn: warn}
	if f.Origin != "" {
		o.Origin = f.apex
	}
	return masterfile.Read(f.File, r, o, each)
}

// add adds a record to the zone.
func (z *zone) add(r masterfile.Record) error {
	switch r.Type {
	case typeRRSIG, typeNSEC, typeNSEC3:
		return r.Position.Errorf("%s: signed zones are not served", appendType(nil, r.Type))
	}
	name := lowerName(r.Owner)
	if !isWithin(name, z.apex) {
		z.warn(r.Position, fmt.Errorf("%s is outside the zone %s: the record is ignored", nameText(name), nameText(z.apex)))
		return nil
	}
	if z.text.IsFull() {
		return r.Position.Errorf("the zone needs more than 4 GiB")
	}
	z.addRecord(name, r.Type, r.TTL, string(r.Data), r.Position)
	return nil
}

// warn adds a warning.
func (z *zone) warn(pos masterfile.Position, err error) { z.warnings.add(pos.Errorf("%w", err)) }
