package syslog

import (
	"math"
	"time"
)

// clock completes timestamps that lack their year or their zone.
type clock struct {
	location   *time.Location
	receivedAt time.Time
	received   civilDate // receivedAt, in location

	// The last reading whose offset was looked up, and the answer:
	// neighbouring messages tell the same second.
	known  civil
	offset int
	cached bool
}

type civilDate struct {
	year, month int
	wall        int64 // seconds, as if the wall clock told UTC
}

// set makes the clock ready for a datagram. It costs nothing for the
// datagrams of one batch, which have the same receivedAt.
func (k *clock) set(location *time.Location, receivedAt time.Time) {
	if location == nil {
		location = time.Local
	}
	if location == k.location && receivedAt == k.receivedAt {
		return
	}
	if location != k.location {
		k.cached = false
	}
	k.location, k.receivedAt = location, receivedAt
	local := receivedAt.In(location)
	_, offset := local.Zone()
	k.received = civilDate{min(max(local.Year(), 0), maxYear), int(local.Month()), receivedAt.Unix() + int64(offset)}
}

// complete gives c the year that puts it nearest to the time of receipt, if
// it has none. Of two years that are as near, it is the earlier.
func (k *clock) complete(c *civil) {
	if c.year != noYear {
		return
	}
	leapDay := c.month == 2 && c.day == 29
	// Four months apart in one year, the other years are further.
	if d := c.month - k.received.month; !leapDay && -4 <= d && d <= 4 {
		c.year = k.received.year
		return
	}
	c.year = k.nearestYear(*c, leapDay)
}

func (k *clock) nearestYear(c civil, leapDay bool) int {
	reach := 1
	if leapDay {
		reach = 8 // no further is a leap year: 1896 and 1904
	}
	best, nearest := 0, int64(math.MaxInt64)
	for year := max(k.received.year-reach, 0); year <= min(k.received.year+reach, maxYear); year++ {
		if leapDay && !isLeap(year) {
			continue
		}
		c.year = year
		far := c.wall() - k.received.wall
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
// clocks tell c.
func (k *clock) localOffset(c *civil) int {
	if k.location == time.UTC {
		return 0
	}
	if k.cached && sameSecond(&k.known, c) {
		return k.offset
	}
	k.offset = int(c.wall() - c.in(k.location).Unix())
	k.known, k.cached = *c, true
	k.known.fraction = nil
	return k.offset
}

func sameSecond(a, b *civil) bool {
	return a.second == b.second && a.minute == b.minute && a.hour == b.hour &&
		a.day == b.day && a.month == b.month && a.year == b.year
}

// localZone reports whether name is what the location's zone is called when
// its clocks tell c.
func (k *clock) localZone(c *civil, name []byte) bool {
	have, _ := c.in(k.location).Zone()
	return have == string(name)
}
