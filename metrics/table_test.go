package metrics

import (
	"reflect"
	"strings"
	"testing"
)

// Each number in the JSON of a Reading has one row in Table, with the key as name.
func TestTableHasEveryNumber(t *testing.T) {
	var r Reading
	keys := make(map[*uint64]string)
	add := func(v reflect.Value) {
		for i := range v.NumField() {
			if number, ok := v.Field(i).Addr().Interface().(*uint64); ok {
				keys[number] = v.Type().Field(i).Tag.Get("json")
			}
		}
	}
	add(reflect.ValueOf(&r).Elem())
	add(reflect.ValueOf(&r.Dropped).Elem())
	totals := make(map[int]bool)
	for i := range Table {
		c := &Table[i]
		key, known := keys[c.field(&r)]
		delete(keys, c.field(&r))
		if !known || key != c.Name {
			t.Errorf("%s: the key is %q, in a row before: %t", c.Name, key, !known)
		}
		ofDatagrams := c.Drop != NoDrop && c.Drop != ReplyOnly
		if (c.Metric == "") != ofDatagrams || !strings.HasSuffix(c.Help, ".") {
			t.Errorf("%s: metric %q, help %q", c.Name, c.Metric, c.Help)
		}
		if c.Metric != "" && strings.HasSuffix(c.Metric, "_total") == c.Gauge {
			t.Errorf("%s: metric %s, gauge: %t", c.Name, c.Metric, c.Gauge)
		}
		if !c.Gauge && totals[c.total] {
			t.Errorf("%s has the total of another row", c.Name)
		}
		totals[c.total] = totals[c.total] || !c.Gauge
	}
	for _, key := range keys {
		t.Errorf("%s has no row", key)
	}
	for kind, own := range ownCounts {
		if own == nil {
			t.Errorf("total %d has no row", kind)
		}
	}
}

// Since subtracts counters, and keeps gauges.
func TestSince(t *testing.T) {
	var before, now, want Reading
	fill(reflect.ValueOf(&before).Elem(), 3)
	fill(reflect.ValueOf(&now).Elem(), 10)
	fill(reflect.ValueOf(&want).Elem(), 7)
	want.Shard, want.CPU, want.Thread, want.QueueBytes, want.BufferBytes = 10, 10, 10, 10, 10
	if got := now.Since(before); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	want = Reading{Shard: 3, CPU: 3, Thread: 3, QueueBytes: 3, BufferBytes: 3}
	if got := before.Since(now); got != want {
		t.Errorf("smaller counters: %+v, want %+v", got, want)
	}
}

// The names and order of log fields are what scripts rely on.
func TestLogNames(t *testing.T) {
	const want = "received bytes delivered replied in_flight truncated unparsed malformed_header dropped_kernel " +
		"dropped_not_allowed dropped_rate_limited dropped_malformed dropped_output dropped_reply dropped_lost_in_crash"
	var names []string
	for _, c := range Table {
		if !c.Unlogged {
			names = append(names, c.LogName())
		}
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
