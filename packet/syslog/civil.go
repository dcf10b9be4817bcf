package syslog

import "time"

// civilTime is a date and a time of day as a sender wrote them.
type civilTime struct {
	year     int // noYear if not sent
	month    int
	day      int
	hour     int
	minute   int
	second   int
	fraction []byte // the digits, or nil
}

const noYear = -1

// isValid reports whether the date and the time exist. Without a year, 29 February exists.
func (c *civilTime) isValid() bool {
	return c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= daysIn(c.year, c.month) &&
		c.hour <= 23 && c.minute <= 59 && c.second <= 59
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year == noYear || isLeap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// maxYear is the last year in RFC 3339.
const maxYear = 9999

// unixUTC returns the seconds since 1970, for a time in UTC.
func (c *civilTime) unixUTC() int64 {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC).Unix()
}

// toUTC returns the time in UTC, for a time offset seconds east of UTC.
func (c *civilTime) toUTC(offset int) civilTime {
	t := time.Unix(c.unixUTC()-int64(offset), 0).UTC()
	return civilTime{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), c.fraction}
}

// appendTimestamp appends the time in RFC 3339, with the fraction as sent. offset is in seconds
// east of UTC, a multiple of 60.
func appendTimestamp(dst []byte, c *civilTime, offset int) []byte {
	y, z, m, d := twoDigits[c.year/100], twoDigits[c.year%100], twoDigits[c.month], twoDigits[c.day]
	h, n, s := twoDigits[c.hour], twoDigits[c.minute], twoDigits[c.second]
	dst = append(dst, y[0], y[1], z[0], z[1], '-', m[0], m[1], '-', d[0], d[1],
		'T', h[0], h[1], ':', n[0], n[1], ':', s[0], s[1])
	if c.fraction != nil {
		dst = append(dst, '.')
		dst = append(dst, c.fraction...)
	}
	switch {
	case offset == 0:
		return append(dst, 'Z')
	case offset < 0:
		dst = append(dst, '-')
		offset = -offset
	default:
		dst = append(dst, '+')
	}
	h, n = twoDigits[offset/3600], twoDigits[offset/60%60]
	return append(dst, h[0], h[1], ':', n[0], n[1])
}

// twoDigits are the numbers below 100 with two digits.
var twoDigits = makeTwoDigits()

func makeTwoDigits() (digits [100][2]byte) {
	for n := range byte(len(digits)) {
		digits[n] = [2]byte{'0' + n/10, '0' + n%10}
	}
	return digits
}

// maxTimestamp is the longest result of appendTimestamp.
const maxTimestamp = len("2006-01-02T15:04:05.") + maxFraction + len("+00:00")
