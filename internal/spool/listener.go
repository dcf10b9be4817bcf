package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Listener is the series of a listener, and its consumers.
type Listener struct {
	spool  *Spool
	name   string
	folder string

	mu        sync.Mutex
	series    map[string]*Series
	consumers []*Consumer
	refreshed time.Time
}

// Name returns the name of the listener.
func (l *Listener) Name() string { return l.name }

// RefreshInterval is how often a listener's consumers look for records of other processes: of
// processes that were replaced and woke up.
const RefreshInterval = time.Second

// Refresh reads what other processes have written: the series of earlier epochs.
func (l *Listener) Refresh() error {
	_, err := l.refresh()
	return err
}

// refresh is Refresh. The result is how many bytes the series have grown.
func (l *Listener) refresh() (grown int64, err error) {
	l.spool.removing.Lock()
	defer l.spool.removing.Unlock()
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refreshed = time.Now()
	written := make(map[uint64]bool)
	for _, e := range entries {
		epoch, shard, ok := parseSeriesName(e.Name())
		if !ok || epoch == l.spool.ownEpoch() {
			continue
		}
		s := l.series[e.Name()]
		if s != nil && !s.grows {
			continue
		}
		if s == nil {
			s = &Series{Name: e.Name(), Shard: shard, epoch: epoch, grows: true,
				folder: filepath.Join(l.folder, e.Name())}
		}
		if _, known := written[epoch]; !known {
			written[epoch] = l.spool.isWritten(epoch)
		}
		grown -= s.bytes()
		err := s.scan() // after isWritten: the last scan is complete
		for range maxAttempts {
			if !errors.Is(err, fs.ErrNotExist) { // the active process has removed a segment meanwhile
				break
			}
			err = s.scan()
		}
		if err != nil {
			return 0, fmt.Errorf("series %s: %w", e.Name(), withoutPath(err))
		}
		grown += s.bytes()
		s.mu.Lock()
		s.grows = written[epoch]
		s.mu.Unlock()
		l.series[e.Name()] = s
	}
	return grown, nil
}

// Rescan is Refresh for a process that begins to ship. Rescan also forgets series that the previous
// process with the lock has removed.
func (l *Listener) Rescan() error {
	l.mu.Lock()
	for name, s := range l.series {
		if !s.own {
			delete(l.series, name)
		}
	}
	l.mu.Unlock()
	if err := l.Refresh(); err != nil {
		return err
	}
	return l.spool.measure()
}

// present returns the series that are there: those of other processes as the folder has them now,
// and those of this process.
func (l *Listener) present() []*Series {
	now := &Listener{spool: l.spool, name: l.name, folder: l.folder, series: make(map[string]*Series)}
	now.Refresh() // an error: the next reading is complete
	l.mu.Lock()
	for name, s := range l.series {
		if s.own {
			now.series[name] = s
		}
	}
	l.mu.Unlock()
	return now.ordered()
}

// refreshIfDue calls Refresh at most once each RefreshInterval.
func (l *Listener) refreshIfDue() {
	l.mu.Lock()
	due := time.Since(l.refreshed) >= RefreshInterval
	l.mu.Unlock()
	if due {
		if grown, err := l.refresh(); err == nil { // else the next one reads again
			l.spool.others.Add(grown)
		}
	}
}

// ordered returns the series by epoch and shard.
func (l *Listener) ordered() []*Series {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*Series, 0, len(l.series))
	for _, s := range l.series {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Series) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.Shard, b.Shard))
	})
	return list
}

// add adds a series of this process.
func (l *Listener) add(s *Series) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.series[s.Name] = s
}

// notify wakes the consumers: a series has more records.
func (l *Listener) notify() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.consumers {
		c.notify()
	}
}

// trim removes the segments that every consumer has passed, and the folders of series without
// segments to which nobody appends. Only the process with the lock trims.
func (l *Listener) trim() {
	l.mu.Lock()
	consumers := slices.Clone(l.consumers)
	l.mu.Unlock()
	if len(consumers) == 0 || !l.spool.Held() {
		return
	}
	l.spool.removing.Lock()
	defer l.spool.removing.Unlock()
	list, saved := l.ordered(), false
	for _, s := range list {
		passed := uint64(1<<64 - 1)
		for _, c := range consumers {
			passed = min(passed, c.passed(s))
		}
		if !s.extent().has(passed) {
			continue
		}
		if !saved { // else a process that follows a crash would miss the records
			for _, c := range consumers {
				if c.saveChanges(list) != nil {
					return // the next trim tries again
				}
			}
			saved = true
		}
		freed, empty := s.removeBefore(passed)
		l.spool.freed(s, freed)
		if empty {
			l.forget(s, consumers)
		}
	}
}

// Abandon removes the consumers of other targets: of targets that are no longer configured. A
// target that comes back begins with the oldest record. Only the process with the lock abandons,
// after all consumers are open. The result has the targets with the records that waited for them.
func (l *Listener) Abandon() (waiting map[string]uint64) {
	folder := filepath.Join(l.folder, consumersFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // the next process tries again
	}
	l.mu.Lock()
	kept := make(map[string]bool)
	for _, c := range l.consumers {
		kept[filepath.Base(c.file.path)] = true
	}
	l.mu.Unlock()
	waiting = make(map[string]uint64)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if kept[e.Name()] || !isConsumerName(e.Name()) {
			continue
		}
		c := cursor{path: path}
		if s, err := c.readState(); err == nil && s.Target != "" {
			waiting[s.Target] = s.Waiting
		}
		os.Remove(path)
	}
	return waiting
}

// forget removes an empty series of a process that has ended.
func (l *Listener) forget(s *Series, consumers []*Consumer) {
	if err := os.Remove(s.folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // damaged segments stay
	}
	l.mu.Lock()
	delete(l.series, s.Name)
	l.mu.Unlock()
	for _, c := range consumers {
		c.forget(s)
	}
	l.spool.forgetEpochs()
}

// forgetEpochs removes the files of epochs without series. The file of the last epoch stays: the
// series of an epoch, and so the identities of records, never come again.
func (s *Spool) forgetEpochs() {
	folder := filepath.Join(s.Path, epochsFolder)
	last, err := s.lastEpoch(folder)
	if err != nil {
		return
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		epoch, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || epoch == last || s.isWritten(epoch) {
			continue
		}
		left, err := filepath.Glob(filepath.Join(globEscape(s.Path), "*", e.Name()+"-*"))
		if err == nil && len(left) == 0 {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}
