package syslog

import (
	"math"
	"time"
)

// clock completes timestamps without a year or a zone.
type clock struct {
	location      *time.Location
	receivedAt    time.Time
	receivedLocal localReceipt // receivedAt, in location

	lastSpan offsetSpan // result of the last lookup; a span is months long
}

// offsetSpan is a span of local time, in seconds as if local time were UTC, with the offsets of the
// location in the span: one offset, or two in the hour of a clock change. When clocks are put back,
// each local time in the hour exists twice, once with each offset. When clocks are put forward, no
// local time in the hour exists, but a sender whose clock changes too late or too early may send
// such a time.
type offsetSpan struct {
	from, to int64
	zones    [2]namedOffset // the earlier first
	count    int            // number of zones; 0 before the first lookup
}

type namedOffset struct {
	offset int // seconds east of UTC
	name   string
}

type localReceipt struct {
	year, month int
	wall        int64 // seconds, as if local time were UTC
}

// prepare makes the clock ready for a datagram, at no cost within a batch, whose datagrams have the
// same receivedAt.
func (k *clock) prepare(location *time.Location, receivedAt time.Time) {
	if location == nil {
		location = time.Local
	}
	if location == k.location && receivedAt == k.receivedAt {
		return
	}
	if location != k.location {
		k.lastSpan = offsetSpan{}
	}
	k.location, k.receivedAt = location, receivedAt
	local := receivedAt.In(location)
	_, offset := local.Zone()
	k.receivedLocal = localReceipt{min(max(local.Year(), 0), maxYear), int(local.Month()), receivedAt.Unix() + int64(offset)}
}

// completeYear sets the year of c, if c has none, to the year that is nearest to the time of
// receipt. Of two years at the same distance, the earlier is used.
func (k *clock) completeYear(c *civilTime) {
	if c.year != noYear {
		return
	}
	leapDay := c.month == 2 && c.day == 29
	// Within four months in the same year, other years are further away.
	if d := c.month - k.receivedLocal.month; !leapDay && -4 <= d && d <= 4 {
		c.year = k.receivedLocal.year
		return
	}
	c.year = k.nearestYear(*c, leapDay)
}

func (k *clock) nearestYear(c civilTime, leapDay bool) int {
	reach := 1
	if leapDay {
		reach = 4 // 1900, the furthest, is 4 years from 1896 and 1904
	}
	best, nearest := 0, int64(math.MaxInt64)
	for year := max(k.receivedLocal.year-reach, 0); year <= min(k.receivedLocal.year+reach, maxYear); year++ {
		if leapDay && !isLeap(year) {
			continue
		}
		c.year = year
		far := c.unixUTC() - k.receivedLocal.wall
		if far < 0 {
			far = -far
		}
		if far < nearest {
			best, nearest = year, far
		}
	}
	return best
}

// localOffset returns the location's offset in seconds east of UTC at the local time c. If the
// local time exists twice, the time nearest to receipt is used; of two at the same distance, the
// earlier.
func (k *clock) localOffset(c *civilTime) int {
	if k.location == time.UTC {
		return 0
	}
	wall := c.unixUTC()
	span := k.spanAt(wall)
	offset := span.zones[0].offset
	if span.count == 1 {
		return offset
	}
	other := span.zones[1].offset
	// Halfway between the two times, doubled.
	middle, received := 2*wall-int64(offset)-int64(other), 2*k.receivedAt.Unix()
	after := received > middle || received == middle && k.receivedAt.Nanosecond() > 0
	if later := other < offset; later == after {
		return other
	}
	return offset
}

// locationOffset returns the offset of the zone with the name, if the location has such a zone at
// the local time c.
func (k *clock) locationOffset(c *civilTime, name []byte) (offset int, ok bool) {
	span := k.spanAt(c.unixUTC())
	for i := range span.count {
		if zone := &span.zones[i]; zone.name == string(name) {
			return zone.offset, true
		}
	}
	return 0, false
}

// spanAt returns the span that contains a local time.
func (k *clock) spanAt(wall int64) *offsetSpan {
	if s := &k.lastSpan; s.count == 0 || wall < s.from || wall >= s.to {
		*s = findSpan(k.location, wall)
	}
	return &k.lastSpan
}

// findSpan finds the span by going through the location's changes, beginning two days before wall.
// Offsets are below 16 hours, so the local time at the beginning is before wall-day.
func findSpan(location *time.Location, wall int64) offsetSpan {
	const day = 24 * 3600
	at := time.Unix(wall-2*day, 0).In(location)
	span := offsetSpan{from: wall - day, count: 1}
	if start, _ := at.ZoneBounds(); start.IsZero() {
		span.from = math.MinInt64
	} else {
		span.from = min(span.from, start.Unix()+day)
	}
	for {
		name, offset := at.Zone()
		span.zones[0] = namedOffset{offset, name}
		change := nextChange(at)
		if change.IsZero() {
			span.to = math.MaxInt64
			return span
		}
		nextName, next := change.Zone()
		// Local times between first and last exist twice, or not at all.
		first := change.Unix() + int64(min(offset, next))
		last := change.Unix() + int64(max(offset, next))
		switch {
		case wall < first:
			span.to = first
			return span
		case wall < last:
			return offsetSpan{first, last, [2]namedOffset{{offset, name}, {next, nextName}}, 2}
		}
		span.from, at = last, change
	}
}

// nextChange returns the next change of the location's zone, always after at; the zero time is no
// change.
//
// Source: tzset, time/zoneinfo.go, Go 1.26. In years beyond the location's table, from 2038 on,
// tzset takes every year for a year of 365 days. On the last day of a leap year, the end of the
// zone is the very time that was asked about. Effect: a loop over the changes would never end.
// Choice: nextChange skips the day.
func nextChange(at time.Time) time.Time {
	_, change := at.ZoneBounds()
	if !change.IsZero() && !change.After(at) {
		return at.Add(24 * time.Hour)
	}
	return change
}
