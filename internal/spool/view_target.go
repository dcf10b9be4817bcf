package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// TargetView is the ledger of a target, as the shipping process has saved it last. Waiting,
// WaitingBytes and OldestWaiting are counted in the series of the view.
type TargetView struct {
	Target        string         `json:"target"` // "": the file is damaged
	Acknowledged  uint64         `json:"acknowledged"`
	Waiting       uint64         `json:"waiting"`
	WaitingBytes  int64          `json:"waiting_bytes"`
	OldestWaiting *time.Time     `json:"oldest_waiting"` // when it was written; nil: no record waits
	Rejected      uint64         `json:"rejected"`
	Expired       uint64         `json:"expired"`
	Resent        uint64         `json:"resent"`
	Sending       *SendingView   `json:"sending"` // nil: no batch
	Positions     []PositionView `json:"positions"`
}

// SendingView is a batch that is being sent, or was when the shipping process ended.
type SendingView struct {
	Series string `json:"series"`
	First  uint64 `json:"first_record"`
	Count  int    `json:"records"`
}

// PositionView is the position of a target in a series.
type PositionView struct {
	Series  string `json:"series"`
	Next    uint64 `json:"next_record"` // the first one that waits
	Segment uint64 `json:"segment"`     // the first record of its segment
	Offset  int64  `json:"offset"`      // bytes in the segment
	Waiting uint64 `json:"waiting"`
}

// readTargets reads the positions of a listener's targets.
func (v *View) readTargets(lv *ListenerView) error {
	folder := filepath.Join(lv.listener.folder, consumersFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if e.Name()[0] == '.' { // not renamed yet
			continue
		}
		if strings.HasSuffix(e.Name(), damagedSuffix) {
			if info, err := e.Info(); err == nil {
				v.Damaged = append(v.Damaged, v.damagedPosition(path, info))
			}
			continue
		}
		c, err := readConsumer(path, lv.listener)
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			continue
		}
		if errors.Is(err, errDamagedCursor) {
			if info, err := e.Info(); err == nil {
				v.Damaged = append(v.Damaged, v.damagedPosition(path, info))
			}
		} else if err != nil {
			return fmt.Errorf("position of a target: %w", withoutPath(err))
		} else if c.Target == "" {
			continue // not written yet
		}
		lv.readers = append(lv.readers, c)
		lv.Targets = append(lv.Targets, c.view())
	}
	return nil
}

// readConsumer returns a consumer without a file, at the saved position. A consumer with
// errDamagedCursor is at the beginning, as the shipping process will be.
func readConsumer(path string, l *Listener) (*Consumer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &Consumer{listener: l}
	for range maxAttempts { // both slots may change while they are read
		if c.state, _, err = readCursor(f); err == nil {
			break
		}
	}
	c.Target = c.state.Target
	c.prepare()
	return c, err
}

// view returns the ledger of the target.
func (c *Consumer) view() TargetView {
	list := c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	t := TargetView{Target: c.Target, Acknowledged: s.Acknowledged, Rejected: s.Rejected,
		Expired: s.Expired, Resent: s.Resent, Positions: []PositionView{}}
	if s.Sending != nil {
		t.Sending = &SendingView{s.Sending.Series, s.Sending.First, s.Sending.Count}
	}
	t.Waiting, t.WaitingBytes = c.state.countWaiting(list)
	for _, series := range list {
		at, has := c.locked(series), series.extent()
		p := PositionView{Series: series.Name, Next: at.Record, Segment: at.Segment, Offset: at.Offset}
		if at.Record < has.end {
			p.Waiting = has.end - at.Record
			if t.OldestWaiting == nil {
				oldest := series.written(at)
				t.OldestWaiting = &oldest
			}
		}
		t.Positions = append(t.Positions, p)
	}
	return t
}
