package syslog

import "time"

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
	k.received = civilDate{local.Year(), int(local.Month()), receivedAt.Unix() + int64(offset)}
}

// complete gives c the year that puts it nearest to the time of receipt, if
// it has none, and reports false if there is none: 29 February at the edge
// of the calendar.
func (k *clock) complete(c *civil) bool {
	if c.year != noYear {
		return true
	}
	leapDay := c.month == 2 && c.day == 29
	// Four months apart in one year, the other years are further.
	if d := c.month - k.received.month; !leapDay && -4 <= d && d <= 4 {
		c.year = k.received.year
	} else {
		c.year = k.nearestYear(*c, leapDay)
	}
	return 0 <= c.year && c.year <= 9999
}

func (k *clock) nearestYear(c civil, leapDay bool) int {
	reach := 1
	if leapDay {
		reach = 8 // no further is a leap year: 1896 and 1904
	}
	best, nearest := noYear, int64(0)
	for year := k.received.year - reach; year <= k.received.year+reach; year++ {
		if leapDay && !isLeap(year) {
			continue
		}
		c.year = year
		far := c.wall() - k.received.wall
		if far < 0 {
			far = -far
		}
		if best == noYear || far < nearest {
			best, nearest = year, far
		}
	}
	return best
}

// wall returns the seconds since 1970 of a clock that tells UTC.
func (c *civil) wall() int64 {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC).Unix()
}

// in returns the time at which a clock in location tells c. Where clocks are
// put forward over c or back to before it, it is one of the times that
// time.Date allows.
func (c *civil) in(location *time.Location) time.Time {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, location)
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

// inUTC returns what a clock that tells UTC reads when one offset seconds
// east of it tells c.
func (c *civil) inUTC(offset int) civil {
	t := time.Unix(c.wall()-int64(offset), 0).UTC()
	return civil{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), c.fraction}
}
