package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"time"
)

// compare expects one record for each datagram, with the same fields, in order for each sender.
func compare(sentPath, recordsPath string) error {
	wanted := map[string][]map[string]any{} // by source
	err := lines(sentPath, func(line []byte) error {
		var s sent
		err := json.Unmarshal(line, &s)
		wanted[s.Source] = append(wanted[s.Source], s.Record)
		return err
	})
	if err != nil {
		return err
	}
	records, shards := 0, map[any]int{}
	err = lines(recordsPath, func(line []byte) error {
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			return fmt.Errorf("%w in the record %s", err, line)
		}
		source, _ := got["source"].(string)
		if len(wanted[source]) == 0 {
			return fmt.Errorf("a record too many: %s", line)
		}
		want := wanted[source][0]
		wanted[source] = wanted[source][1:]
		shard, ok := got["shard"].(float64)
		if at, _ := got["received_at"].(string); !ok || !since(at) || got["listener"] == "" || got["listener"] == nil {
			return fmt.Errorf("received_at, listener or shard is missing or wrong: %s", line)
		}
		records++
		shards[shard]++
		for _, key := range []string{"received_at", "source", "listener", "shard"} {
			delete(got, key)
		}
		for _, r := range []map[string]any{want, got} { // the same instant may be written in several ways
			stamp, _ := r["timestamp"].(string)
			if t, err := time.Parse(time.RFC3339, stamp); err == nil {
				r["timestamp"] = t.UTC()
			}
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("record %s\nis not what was sent: %v", line, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for source, rest := range wanted {
		if len(rest) > 0 {
			return fmt.Errorf("%d datagrams from %s have no record, the first: %v", len(rest), source, rest[0])
		}
	}
	fmt.Printf("%d records, each datagram once, fields equal, in order per sender; %d shards wrote them", records, len(shards))
	return nil
}

// since says whether a record's received_at lies within the last ten minutes.
func since(at string) bool {
	t, err := time.Parse(time.RFC3339, at)
	return err == nil && time.Since(t).Abs() < 10*time.Minute
}

func lines(path string, f func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if err := f(s.Bytes()); err != nil {
			return err
		}
	}
	return s.Err()
}
