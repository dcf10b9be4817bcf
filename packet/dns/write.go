package dns

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// WriteZone reads a zone as Load does, and writes the records that would be served, one a line, in
// canonical order (RFC 4034 section 6): owner, TTL, class, type and data, with fully qualified
// names. warnings are as those of Zones.Warnings. An error of the zone is a *ZoneError.
func WriteZone(w io.Writer, s Source) (warnings []error, err error) {
	f := newZoneFile(s)
	if err = f.findApex(); err != nil {
		return nil, &ZoneError{Source: s, Err: err}
	}
	z, err := f.read()
	if err == nil {
		_, err = z.compile(nil)
	}
	if err != nil {
		return nil, &ZoneError{Source: s, Err: err}
	}
	out := bufio.NewWriter(w)
	z.write(out)
	return z.warnings.list(s.File), out.Flush()
}

// write writes the records that are served. The errors are those of out.
func (z *zone) write(out *bufio.Writer) {
	var owners []uint32
	for i := range uint32(z.owners.Len()) {
		if z.owners.At(i).last != 0 && z.dnameAbove(z.nameOf(i)) == "" {
			owners = append(owners, i)
		}
	}
	slices.SortFunc(owners, func(a, b uint32) int { return compareNames(z.nameOf(a), z.nameOf(b)) })
	var line []byte
	for _, i := range owners {
		o := z.owner(i)
		for _, set := range o.sets {
			for _, data := range set.data {
				line = append(rdata.AppendName(line[:0], o.name), ' ')
				line = append(strconv.AppendUint(line, uint64(set.ttl), 10), " IN "...)
				line = append(rdata.AppendType(line, set.rtype), ' ')
				line = append(rdata.AppendText(line, set.rtype, []byte(data)), '\n')
				out.Write(line)
			}
		}
	}
}

// compareNames compares names in canonical order (RFC 4034 section 6.1): label by label from the
// end.
func compareNames(a, b string) int {
	var starts [2][maxLabels]uint8
	var n [2]int
	for side, name := range []string{a, b} {
		for i := 0; name[i] != 0; i += 1 + int(name[i]) {
			starts[side][n[side]] = uint8(i)
			n[side]++
		}
	}
	for i := 1; i <= min(n[0], n[1]); i++ {
		x, y := a[starts[0][n[0]-i]:], b[starts[1][n[1]-i]:]
		if c := strings.Compare(x[1:1+x[0]], y[1:1+y[0]]); c != 0 {
			return c
		}
	}
	return n[0] - n[1]
}
