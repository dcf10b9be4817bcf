package main

import (
	"encoding/binary"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kfake writes the sequences of idempotent producers in an orderly shutdown only. A broker rebuilds
// them from the log after a crash, and so knows a batch that is sent again. rebuildWindows does the
// work of a broker: the file seq_windows.json is made of the segments of all partitions, in the
// format of kfake, before kfake starts.
func rebuildWindows(data string) error {
	folders, err := filepath.Glob(filepath.Join(data, "partitions", "*"))
	if err != nil || len(folders) == 0 {
		return err
	}
	windows := make([]*window, 0)
	for _, folder := range folders {
		escaped, number, found := cutLast(filepath.Base(folder), "-")
		partition, err := strconv.ParseInt(number, 10, 32)
		if !found || err != nil {
			continue
		}
		topic, err := url.PathUnescape(escaped)
		if err != nil {
			return err
		}
		ofPartition, err := readPartition(folder, topic, int32(partition))
		if err != nil {
			return err
		}
		windows = append(windows, ofPartition...)
	}
	text, err := json.Marshal(map[string]any{"version": 1, "windows": windows})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "seq_windows.json"), text, 0o600)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// window is the last five batches of a producer in a partition, in the format of kfake.
type window struct {
	PID       int64    `json:"pid"`
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Entries   [5]entry `json:"entries"`
	Count     uint8    `json:"count"`
	At        uint8    `json:"at"`
	Epoch     int16    `json:"epoch"`
	Seen      bool     `json:"seen"`
	NextSeq   int32    `json:"next_seq"`
}

type entry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

// readPartition returns the windows of all producers in a partition.
func readPartition(folder, topic string, partition int32) ([]*window, error) {
	segments, err := filepath.Glob(filepath.Join(folder, "*.dat"))
	if err != nil {
		return nil, err
	}
	base := func(path string) int64 {
		n, _ := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".dat"), 10, 64)
		return n
	}
	slices.SortFunc(segments, func(a, b string) int { return int(base(a) - base(b)) })
	var windows []*window
	byPID := make(map[int64]*window)
	for _, segment := range segments {
		log, err := os.ReadFile(segment)
		if err != nil {
			return nil, err
		}
		const headerSize = 61 // of a record batch, https://kafka.apache.org/documentation/#recordbatch
		for len(log) >= headerSize {
			end := 12 + int(binary.BigEndian.Uint32(log[8:]))
			if end > len(log) {
				break // the batch was being written at the end of the process
			}
			pid := int64(binary.BigEndian.Uint64(log[43:]))
			if byPID[pid] == nil && pid >= 0 {
				byPID[pid] = &window{PID: pid, Topic: topic, Partition: partition}
				windows = append(windows, byPID[pid])
			}
			if pid >= 0 {
				byPID[pid].add(log)
			}
			log = log[end:]
		}
	}
	return windows, nil
}

// add notes the record batch at the start of log.
func (w *window) add(log []byte) {
	epoch := int16(binary.BigEndian.Uint16(log[51:]))
	if !w.Seen || epoch != w.Epoch {
		w.Entries, w.Count, w.At = [5]entry{}, 0, 0
	}
	first := int32(binary.BigEndian.Uint32(log[53:]))
	records := int32(binary.BigEndian.Uint32(log[57:]))
	w.Seen, w.Epoch, w.NextSeq = true, epoch, first+records
	offset := int64(binary.BigEndian.Uint64(log))
	w.Entries[w.At] = entry{FirstSeq: first, NextSeq: w.NextSeq, Offset: offset}
	w.At, w.Count = (w.At+1)%5, min(w.Count+1, 5)
}
