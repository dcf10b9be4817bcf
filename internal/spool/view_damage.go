package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DamagedFile is a segment with damage, or a damaged position of a target, and what is readable.
type DamagedFile struct {
	File        string   `json:"file"` // below the folder of the spool
	Bytes       int64    `json:"bytes"`
	WholeBlocks int      `json:"whole_blocks"`
	Blocks      int      `json:"blocks"`       // of the index
	Records     uint64   `json:"records"`      // readable
	Lost        uint64   `json:"lost_records"` // not readable
	Damage      []Damage `json:"damage"`
}

// readDamaged reads the segments of a series that were set aside.
func (v *View) readDamaged(s *Series) error {
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		first, ok := parseSegmentName(strings.TrimSuffix(e.Name(), damagedSuffix))
		if !ok || !strings.HasSuffix(e.Name(), damagedSuffix) {
			continue
		}
		aside := &Series{Name: s.Name, folder: s.folder, suffix: damagedSuffix}
		at, from := aside.indexed(first)
		lines, end, err := countLines(aside.path(first, segmentSuffix), at)
		if err != nil {
			return err
		}
		aside.segments, aside.size = []segment{{first: first, size: end}}, end
		aside.end = from + uint64(lines)
		d, err := v.examine(aside)
		if err != nil {
			return err
		}
		v.Damaged = append(v.Damaged, d)
	}
	return nil
}

// examine reads a series of one segment as a shipping process does.
func (v *View) examine(s *Series) (d DamagedFile, err error) {
	has := s.extent()
	seg := has.segments[0]
	path := s.path(seg.first, segmentSuffix)
	d = DamagedFile{File: v.name(path), Bytes: has.size, Damage: []Damage{}}
	if info, err := os.Stat(path); err == nil {
		d.Bytes = info.Size()
	}
	var r reader
	r.use(s)
	defer r.close()
	for at := (position{Record: seg.first, Segment: seg.first}); at.Record < has.end; {
		p, after, err := r.next(at, maxRecords)
		if err != nil {
			return d, err
		}
		at = p.after(after)
		d.Records += uint64(len(p.lines))
		if p.damage != nil {
			d.Lost += p.damage.Records
			d.Damage = append(d.Damage, *p.damage)
		} else if len(p.lines) == 0 {
			break
		}
	}
	d.Blocks = len(r.blocks)
	for _, b := range r.blocks {
		if !d.hits(b) && b.end <= d.Bytes {
			d.WholeBlocks++
		}
	}
	return d, nil
}

// after returns the position behind the lines; behind is the position behind damage.
func (p part) after(behind position) position {
	if p.damage != nil {
		return behind
	}
	next := p.at
	next.Record += uint64(len(p.lines))
	for _, line := range p.lines {
		next.Offset += int64(len(line)) + 1
	}
	return next
}

// hits reports whether damage is in a block.
func (d *DamagedFile) hits(b block) bool {
	for _, part := range d.Damage {
		if part.Start < b.end && b.start < part.End {
			return true
		}
	}
	return false
}

func (v *View) damagedPosition(path string, info fs.FileInfo) DamagedFile {
	return DamagedFile{File: v.name(path), Bytes: info.Size(),
		Damage: []Damage{{End: info.Size(), Reason: errDamagedCursor.Error()}}}
}

// name returns a path below the folder of the spool.
func (v *View) name(path string) string {
	if name, err := filepath.Rel(v.Path, path); err == nil {
		return name
	}
	return path
}

// Verification is the result of Verify.
type Verification struct {
	Segments int           `json:"segments"`
	Blocks   int           `json:"blocks"`
	Records  uint64        `json:"records"` // readable
	Bytes    int64         `json:"bytes"`
	Damaged  []DamagedFile `json:"damaged"`
}

// Verify reads all segments, and compares their checksums. Segments that the shipping process
// removes meanwhile are left out.
func (v *View) Verify() (all Verification, err error) {
	all.Damaged = []DamagedFile{}
	for _, l := range v.Listeners {
		for _, s := range l.listener.ordered() {
			has := s.extent()
			for i, seg := range has.segments {
				one := &Series{Name: s.Name, folder: s.folder, size: has.bytes(i), end: has.end,
					segments: []segment{seg}}
				if i+1 < len(has.segments) {
					one.end = has.segments[i+1].first
				}
				d, err := v.examine(one)
				if err != nil {
					return all, err
				}
				if len(d.Damage) == 1 && d.Damage[0].Reason == segmentMissing && v.Shipper != nil {
					continue
				}
				all.Segments++
				all.Blocks += d.Blocks
				all.Records += d.Records
				all.Bytes += d.Bytes
				if len(d.Damage) > 0 {
					all.Damaged = append(all.Damaged, d)
				}
			}
		}
	}
	return all, nil
}
