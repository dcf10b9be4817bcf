package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// ListenerView is the series and the targets of a listener in the spool.
type ListenerView struct {
	Name    string       `json:"name"`
	Series  []SeriesView `json:"series"`
	Targets []TargetView `json:"targets"`

	listener *Listener
	readers  []*Consumer // one for each target, without a cursor file
}

// SeriesView is a series.
type SeriesView struct {
	Name     string     `json:"name"` // 12-0: epoch and shard
	Segments int        `json:"segments"`
	First    uint64     `json:"first_record"`
	Records  uint64     `json:"records"`
	Bytes    int64      `json:"bytes"`
	Oldest   *time.Time `json:"oldest"` // when the first record was written; nil: no record
	Writer   *Process   `json:"writer"` // nil: no process appends
}

// readListener reads the series of a listener, its targets, and the files that were set aside.
func (v *View) readListener(name string) (lv ListenerView, err error) {
	l := &Listener{spool: v.spool, name: name, folder: filepath.Join(v.Path, listenerFolder(name))}
	lv = ListenerView{Name: name, Series: []SeriesView{}, Targets: []TargetView{}, listener: l}
	for range maxAttempts {
		l.series = make(map[string]*Series)
		if err = l.Refresh(); !errors.Is(err, fs.ErrNotExist) { // a segment was removed meanwhile
			break
		}
	}
	if err != nil {
		return lv, err
	}
	writers := make(map[uint64]*Process)
	for _, s := range l.ordered() {
		w, known := writers[s.epoch]
		if !known && s.grows {
			if w, err = v.process(epochsFolder, strconv.FormatUint(s.epoch, 10)); err != nil {
				return lv, err
			}
			writers[s.epoch] = w
		}
		if has := s.extent(); len(has.segments) > 0 || w != nil {
			lv.Series = append(lv.Series, viewSeries(s, w))
		}
		if err := v.readDamaged(s); err != nil {
			return lv, fmt.Errorf("series %s: %w", s.Name, withoutPath(err))
		}
	}
	return lv, v.readTargets(&lv)
}

// maxAttempts is how often a file is read that a running instance replaces or removes meanwhile.
const maxAttempts = 10

func viewSeries(s *Series, writer *Process) SeriesView {
	has := s.extent()
	sv := SeriesView{Name: s.Name, Segments: len(has.segments), First: has.end, Writer: writer}
	for i := range has.segments {
		sv.Bytes += has.bytes(i)
	}
	if len(has.segments) > 0 {
		sv.First = has.segments[0].first
	}
	if sv.Records = has.end - sv.First; sv.Records > 0 {
		oldest := s.written(position{sv.First, sv.First, 0})
		sv.Oldest = &oldest
	}
	return sv
}

// written returns when the record at a position was written, or a little later: as the index says,
// else when the segment was changed.
func (s *Series) written(at position) time.Time {
	if f, err := os.Open(s.path(at.Segment, indexSuffix)); err == nil {
		defer f.Close()
		entry := make([]byte, entrySize)
		for n := int64(0); ; n++ {
			if _, err := io.ReadFull(io.NewSectionReader(f, n*entrySize, entrySize), entry); err != nil {
				break
			}
			if b, ok := parseEntry(entry); ok && b.start <= at.Offset && at.Offset < b.end {
				return b.began.UTC()
			}
		}
	}
	has := s.extent()
	if i := has.find(at.Record); i >= 0 {
		return has.segments[i].began.UTC()
	}
	return time.Time{}
}
