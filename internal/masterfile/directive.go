package masterfile

import (
	"path/filepath"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
	"github.com/udpshard/udpshard/internal/regular"
)

func (rd *reader) readDirective(e *entry, includes int) error {
	name := strings.ToUpper(e.fields[0].Text)
	fields := e.fields[1:]
	switch name {
	case "$ORIGIN":
		if len(fields) != 1 {
			return rd.errorf("$ORIGIN needs a name, and nothing else: %d fields", len(fields))
		}
		return rd.setOrigin(fields[0].Text)
	case "$TTL":
		if len(fields) != 1 {
			return rd.errorf("$TTL needs a TTL, and nothing else: %d fields", len(fields))
		}
		ttl, err := parseTTL(fields[0].Text)
		if err != nil {
			return rd.errorf("%w", err)
		}
		rd.ttl.standard, rd.ttl.hasStandard = limitTTL(ttl, rd.warn), true
		return nil
	case "$INCLUDE":
		return rd.include(fields, includes+1)
	case "$GENERATE":
		return rd.generate(fields)
	}
	return rd.errorf("%.80q: an unknown directive (a name that begins with $ is written as \\$)", e.fields[0].Text)
}

func (rd *reader) setOrigin(text string) error {
	origin, err := rd.parseName(text)
	if err != nil {
		return err
	}
	rd.statedOrigin = origin
	return nil
}

// include reads a file. The origin and the last owner are those of the including file again
// afterward (RFC 1035 section 5.1); $TTL remains, as in BIND and NSD.
func (rd *reader) include(fields []rdata.Field, includes int) error {
	switch {
	case rd.options.NoIncludes:
		return rd.errorf("$INCLUDE is not allowed")
	case len(fields) != 1 && len(fields) != 2:
		return rd.errorf("$INCLUDE needs a file and, if wanted, an origin: %d fields", len(fields))
	case includes > maxIncludes:
		return rd.errorf("$INCLUDE %.80q: more than %d files that include one another", fields[0].Text, maxIncludes)
	}
	name := fields[0].Text
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(rd.position.File), name)
	}
	file, err := regular.Open(name)
	if err != nil {
		return rd.errorf("$INCLUDE: %w", err)
	}
	defer file.Close()
	origin, owner := rd.statedOrigin, rd.owner
	if len(fields) == 2 {
		if err := rd.setOrigin(fields[1].Text); err != nil {
			return err
		}
	}
	err = rd.readFile(name, file, includes)
	rd.statedOrigin, rd.owner = origin, owner
	return err
}
