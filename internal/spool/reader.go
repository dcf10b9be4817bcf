package spool

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sort"
	"time"
)

// Limits of one read. A longer line is read whole.
const (
	maxRead    = 1 << 20 // bytes
	maxRecords = 8192
)

// segmentMissing is the reason of Damage for a segment that is not there.
const segmentMissing = "segment missing"

// position is the position of a consumer in one series: the next record.
type position struct {
	Record  uint64 `json:"record"`  // number of the next record
	Segment uint64 `json:"segment"` // first record of its segment
	Offset  int64  `json:"offset"`  // bytes in the segment
}

// reader reads series in turn. One goroutine calls the methods.
type reader struct {
	series *Series
	*openSegment
	segments map[*Series]*openSegment

	buf      []byte   // the lines of the last read
	split    [][]byte // in buf
	verified block    // in buf; the zero block: none
}

// openSegment is the segment of a series that is being read.
type openSegment struct {
	segment uint64
	lines   *os.File // nil: none is open
	index   *os.File // nil: there is none
	blocks  []block
	indexed int64 // bytes of the index that blocks was read from
}

// maxOpen is the number of series whose segments stay open while the series take turns. Each has
// two descriptors.
const maxOpen = 64

// use chooses the series that next reads. The segments of other epochs are closed: their series are
// read to the end, or are read later.
func (r *reader) use(s *Series) {
	if r.series == s {
		return
	}
	if len(r.segments) >= maxOpen {
		r.close()
	}
	for other, open := range r.segments {
		if other.epoch != s.epoch {
			open.close()
			delete(r.segments, other)
		}
	}
	r.series, r.openSegment, r.verified = s, r.segments[s], block{}
	if r.openSegment == nil {
		r.openSegment = &openSegment{}
		if r.segments == nil {
			r.segments = make(map[*Series]*openSegment)
		}
		r.segments[s] = r.openSegment
	}
}

// part is the result of a read.
type part struct {
	lines  [][]byte // in the reader's memory until the next read, without newlines
	at     position // of the first line
	began  time.Time
	damage *Damage // instead of lines
}

// next returns the lines at a position, at most most, or damage and the position behind the damage.
// Without lines and damage, the series has no more for now.
func (r *reader) next(at position, most int) (p part, after position, err error) {
	has := r.series.extent()
	i := has.find(at.Record)
	if i < 0 || at.Record >= has.end {
		return p, at, nil
	}
	seg := has.segments[i]
	if at.Record < seg.first { // a segment is missing
		after = position{Record: seg.first, Segment: seg.first}
		return r.lost(at.Segment, at.Offset, at.Offset, at, after, segmentMissing), after, nil
	}
	if at.Segment != seg.first {
		if at.Record != seg.first { // the segment of the position is gone, or the cursor file is wrong
			at = position{Record: seg.first, Segment: seg.first}
		}
		at = position{Record: at.Record, Segment: seg.first}
	}
	last := i == len(has.segments)-1
	end := has.end
	if !last {
		end = has.segments[i+1].first
	}
	after = position{Record: end, Segment: end}
	if last {
		after = position{end, seg.first, has.size}
	}
	if err := r.open(seg.first); err != nil {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return r.lost(seg.first, at.Offset, has.bytes(i), at, after, segmentMissing), after, nil
		case isUnreadable(err):
			r.segment = seg.first // to set aside
			return r.lost(seg.first, at.Offset, has.bytes(i), at, after, unreadable(err)), after, nil
		}
		return p, at, err
	}
	return r.read(at, region{has.bytes(i), end, r.series.own}, after, most)
}

// region is the rest of a segment.
type region struct {
	size  int64  // bytes of whole lines in the segment
	end   uint64 // the record after the segment's last
	clean bool   // lines without a block were written by this process, and are read without a check
}

// read reads lines of the open segment. end is the position after the segment.
func (r *reader) read(at position, seg region, end position, most int) (p part, after position, err error) {
	if at.Offset >= seg.size { // the index has more records than the file has lines
		return r.lost(at.Segment, at.Offset, seg.size, at, end, "lines missing"), end, nil
	}
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].end > at.Offset })
	if i < len(r.blocks) && r.blocks[i].start <= at.Offset {
		return r.readBlock(at, r.blocks[i], seg, most)
	}
	limit, next := seg.size, end
	if i < len(r.blocks) {
		limit, next = r.blocks[i].start, position{r.blocks[i].first, at.Segment, r.blocks[i].start}
	}
	return r.readUnindexed(at, limit, next, seg.clean, most)
}

// readBlock reads lines of a block, whose checksum is compared first.
func (r *reader) readBlock(at position, b block, seg region, most int) (p part, after position, err error) {
	after = position{b.next(), at.Segment, b.end}
	if r.verified != b {
		r.verified = block{}
		n, err := r.fill(b.start, int(b.end-b.start))
		switch {
		case isUnreadable(err):
			return r.lost(at.Segment, b.start, b.end, at, after, unreadable(err)), after, nil
		case err != nil:
			return p, at, err
		case n < int(b.end-b.start):
			return r.lost(at.Segment, b.start, b.end, at, after, "file too short"), after, nil
		case crc32.Checksum(r.buf, castagnoli) != b.crc || r.buf[n-1] != '\n':
			return r.lost(at.Segment, b.start, b.end, at, after, "checksum wrong"), after, nil
		}
		r.verified = b
	}
	p = r.cut(r.buf[at.Offset-b.start:], at, most)
	p.began = b.began
	return p, at, nil
}

// readUnindexed reads lines that are in no block: the lines that were written last, or lines whose
// index entry is damaged. The lines end at limit; end is the position there.
func (r *reader) readUnindexed(
	at position, limit int64, end position, clean bool, most int,
) (p part, after position, err error) {
	r.verified = block{}
	for size := int64(maxRead); ; size *= 2 {
		size = min(size, limit-at.Offset)
		n, err := r.fill(at.Offset, int(size))
		switch {
		case isUnreadable(err):
			return r.lost(at.Segment, at.Offset, limit, at, end, unreadable(err)), end, nil
		case err != nil:
			return p, at, err
		}
		whole := bytes.LastIndexByte(r.buf[:n], '\n') + 1
		if whole == 0 && int64(n) == size && at.Offset+size < limit && size < maxBlock {
			continue // a long line
		}
		if whole == 0 || !clean && !isText(r.buf[:whole]) {
			return r.lost(at.Segment, at.Offset, limit, at, end, "lines without a checksum damaged"), end, nil
		}
		p = r.cut(r.buf[:whole], at, most)
		if known := end.Record - at.Record; uint64(len(p.lines)) > known { // lines too many
			p.lines = p.lines[:known]
		}
		if len(p.lines) == 0 {
			return r.lost(at.Segment, at.Offset, limit, at, end, "lines without a number"), end, nil
		}
		return p, at, nil
	}
}

// isText reports whether lines have no control character but newlines: records have none.
func isText(lines []byte) bool {
	for _, c := range lines {
		if c < ' ' && c != '\n' {
			return false
		}
	}
	return true
}

// cut cuts up to most lines off data.
func (r *reader) cut(data []byte, at position, most int) part {
	p := part{at: at, lines: r.split[:0]}
	for size := 0; len(p.lines) < most && size < maxRead && len(data) > 0; {
		end := bytes.IndexByte(data, '\n')
		p.lines = append(p.lines, data[:end:end])
		size += end + 1
		data = data[end+1:]
	}
	r.split = p.lines
	return p
}

// lost describes the bytes from start to end, which have the records between two positions.
func (r *reader) lost(segment uint64, start, end int64, at, after position, reason string) part {
	return part{at: at, damage: &Damage{File: r.series.path(segment, segmentSuffix), Start: start,
		End: end, Records: after.Record - at.Record, Reason: reason}}
}

// fill reads up to n bytes at an offset into buf, and returns how many the file has.
func (r *reader) fill(offset int64, n int) (int, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	n, err := r.lines.ReadAt(r.buf, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.lines.Name(), withoutPath(err))
	}
	return n, err
}

// open opens a segment with its index, or reads the new entries of the index.
func (r *reader) open(first uint64) error {
	if r.lines == nil || r.segment != first {
		r.openSegment.close()
		r.verified = block{}
		lines, err := os.Open(r.series.path(first, segmentSuffix))
		if err != nil {
			return err
		}
		r.lines, r.segment = lines, first
		r.index, _ = os.Open(r.series.path(first, indexSuffix))
	}
	if r.index == nil {
		return nil
	}
	info, err := r.index.Stat()
	if err != nil || info.Size() < r.indexed+entrySize {
		return nil
	}
	index := make([]byte, info.Size()-r.indexed) // at most some ten KB
	n, err := r.index.ReadAt(index, r.indexed)
	if err == nil || errors.Is(err, io.EOF) {
		n -= n % entrySize
		r.blocks, r.indexed = appendBlocks(r.blocks, index[:n]), r.indexed+int64(n)
	}
	return nil
}

// closeRemoved closes segments whose files are removed: the file system has their room then.
func (r *reader) closeRemoved() {
	for s, open := range r.segments {
		has := s.extent()
		i := has.find(open.segment)
		if open.lines != nil && (i < 0 || has.segments[i].first != open.segment) {
			open.close()
			if open == r.openSegment {
				r.verified = block{}
			}
		}
	}
}

// close closes all segments.
func (r *reader) close() {
	for _, open := range r.segments {
		open.close()
	}
	clear(r.segments)
	r.series, r.openSegment, r.verified = nil, nil, block{}
}

func (o *openSegment) close() {
	if o.lines != nil {
		o.lines.Close()
	}
	if o.index != nil {
		o.index.Close()
	}
	*o = openSegment{blocks: o.blocks[:0]}
}
