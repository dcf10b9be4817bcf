package syslog

import (
	"math"
	"time"
)

// clock completes timestamps that lack their year or their zone.
type clock struct {
	location      *time.Location
	receivedAt    time.Time
	receivedLocal localReceipt // receivedAt, in location

	lastSpan offsetSpan // the one that was looked up last: it is months long
}

// wallSpan is a span of what the location's clocks show, in seconds as if they
// told UTC, and the offsets that they have in it: one, or in the hour of a
// clock change two. Where clocks are put back, each reading comes once with
// either; where they are put forward, none comes, and a sender whose clock
// was not put forward, or was too early, shows it all the same.
type offsetSpan struct {
	from, to int64
	zones    [2]namedOffset // the earlier first
	count    int            // of zones; 0: nothing was looked up yet
}

type namedOffset struct {
	offset int // seconds east of UTC
	name   string
}

type localReceipt struct {
	year, month int
	wall        int64 // seconds, as if the wall clock told UTC
}

// set makes the clock ready for a datagram. It costs nothing for the
// datagrams of one batch, which have the same receivedAt.
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

// complete gives c the year that puts it nearest to the time of receipt, if
// it has none. Of two years that are as near, it is the earlier.
func (k *clock) completeYear(c *civilTime) {
	if c.year != noYear {
		return
	}
	leapDay := c.month == 2 && c.day == 29
	// Four months apart in one year, the other years are further.
	if d := c.month - k.receivedLocal.month; !leapDay && -4 <= d && d <= 4 {
		c.year = k.receivedLocal.year
		return
	}
	c.year = k.nearestYear(*c, leapDay)
}

func (k *clock) nearestYear(c civilTime, leapDay bool) int {
	reach := 1
	if leapDay {
		reach = 4 // no year is further from a leap year: 1900, from 1896 and 1904
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

// localOffset returns how many seconds east of UTC the location is when its
// clocks show c. Where that is at two times, it is the one nearest to the time
// of receipt; of two that are as near, the earlier.
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

// namedOffset returns the offset of the location's zone of that name, if that
// is what it is called when its clocks show c.
func (k *clock) locationOffset(c *civilTime, name []byte) (offset int, ok bool) {
	span := k.spanAt(c.unixUTC())
	for i := range span.count {
		if zone := &span.zones[i]; zone.name == string(name) {
			return zone.offset, true
		}
	}
	return 0, false
}

// span returns the span that a reading of the location's clocks is in.
func (k *clock) spanAt(wall int64) *offsetSpan {
	if s := &k.lastSpan; s.count == 0 || wall < s.from || wall >= s.to {
		*s = findSpan(k.location, wall)
	}
	return &k.lastSpan
}

// lookUp finds the span by going through the location's changes from two days
// before on. Offsets are below 16 hours, so a day before is behind the first.
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
		// Clocks show what is between these twice, or never.
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

// nextChange returns when the location's zone changes next, always after at; the zero time: never.
//
// Source: tzset, time/zoneinfo.go, Go 1.26. In years beyond the location's table, from 2038 on,
// it takes every year for one of 365 days, and says of the last day of a leap year that the zone
// ends at the very time that it was asked of.
// What it does to us: whoever goes from change to change stays there for ever.
// What we chose: that day is gone over.
func nextChange(at time.Time) time.Time {
	_, change := at.ZoneBounds()
	if !change.IsZero() && !change.After(at) {
		return at.Add(24 * time.Hour)
	}
	return change
}
