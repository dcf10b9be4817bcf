package syslog

import (
	"testing"
	"time"
	_ "time/tzdata" // for hosts without zone files
)

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNearestYear(t *testing.T) {
	tests := []struct{ received, stamp, want string }{
		{"2023-12-31T23:59:59Z", "Dec 31 23:59:58", "2023-12-31T23:59:58Z"},
		{"2023-12-31T23:59:59Z", "Jan  1 00:00:01", "2024-01-01T00:00:01Z"},
		{"2024-01-01T00:00:01Z", "Dec 31 23:59:59", "2023-12-31T23:59:59Z"},
		{"2024-01-01T00:00:01Z", "Jan  1 00:00:02", "2024-01-01T00:00:02Z"},
		{"2023-08-31T00:00:00Z", "Mar  1 00:00:00", "2023-03-01T00:00:00Z"}, // 183 days, 183 days: the earlier
		{"2023-08-31T12:00:00Z", "Mar  1 00:00:00", "2024-03-01T00:00:00Z"},
		{"2022-08-31T12:00:00Z", "Mar  1 00:00:00", "2023-03-01T00:00:00Z"},
		{"2023-02-28T12:00:00Z", "Feb 29 00:00:00", "2024-02-29T00:00:00Z"},
		{"2022-02-27T12:00:00Z", "Feb 29 00:00:00", "2020-02-29T00:00:00Z"},
		{"2022-03-02T12:00:00Z", "Feb 29 00:00:00", "2024-02-29T00:00:00Z"},
		{"2024-12-31T12:00:00Z", "Feb 29 00:00:00", "2024-02-29T00:00:00Z"},
		{"1900-01-01T00:00:00Z", "Feb 29 00:00:00", "1896-02-29T00:00:00Z"},
		{"2101-01-01T00:00:00Z", "Feb 29 00:00:00", "2104-02-29T00:00:00Z"},
		{"9999-12-31T00:00:00Z", "Jan  1 00:00:00", "9999-01-01T00:00:00Z"}, // the year after has five digits
		{"0000-01-01T00:00:00Z", "Dec 31 00:00:00", "0000-12-31T00:00:00Z"},
	}
	d := Decoder{Location: time.UTC}
	for _, tt := range tests {
		t.Run(tt.received+" "+tt.stamp, func(t *testing.T) {
			received, err := time.Parse(time.RFC3339, tt.received)
			if err != nil {
				t.Fatal(err)
			}
			var m Message
			d.Decode(&m, []byte(tt.stamp+" h x"), received)
			if got := string(m.Timestamp); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestNearestYearOfEveryDay compares with the plain rule on each pair of days.
func TestNearestYearOfEveryDay(t *testing.T) {
	var k clock
	for received := time.Date(2023, 1, 1, 12, 0, 0, 0, time.UTC); received.Year() < 2025; received = received.AddDate(0, 0, 1) {
		k.prepare(time.UTC, received)
		for day := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2025; day = day.AddDate(0, 0, 5) {
			if day.Month() == time.February && day.Day() == 29 {
				continue
			}
			c := civilTime{year: noYear, month: int(day.Month()), day: day.Day(), hour: 12}
			k.completeYear(&c)
			want, nearest := 0, 1000*24*time.Hour
			for year := 2022; year <= 2026; year++ {
				if far := time.Date(year, day.Month(), day.Day(), 12, 0, 0, 0, time.UTC).Sub(received).Abs(); far < nearest {
					want, nearest = year, far
				}
			}
			if c.year != want {
				t.Fatalf("received %v, %v: got %d, want %d", received, day, c.year, want)
			}
		}
	}
}

func TestLocation(t *testing.T) {
	tests := []struct{ zone, text, want string }{
		{"Europe/Berlin", "Oct 11 22:14:15.003 h x", "2023-10-11T22:14:15.003+02:00"},
		{"Europe/Berlin", "Dec 11 22:14:15 h x", "2023-12-11T22:14:15+01:00"},
		{"Europe/London", "Dec 11 22:14:15 h x", "2023-12-11T22:14:15Z"},
		{"America/New_York", "2023:10:11-22:14:15 h x", "2023-10-11T22:14:15-04:00"},
		{"Asia/Kolkata", "date=2023-10-11 time=22:14:15 devname=x", "2023-10-11T22:14:15+05:30"},
		{"America/New_York", "2023-10-11T22:14:15Z h x", "2023-10-11T22:14:15Z"},
		// Before zones.
		{"America/New_York", "1800 Jan  1 00:00:00 h x", "1800-01-01T04:56:02Z"},
		// Zones by name.
		{"Europe/Berlin", "<1>Oct 11 2023 22:14:15 CEST: %A-1-B: x", "2023-10-11T22:14:15+02:00"},
		{"Europe/Berlin", "<1>Oct 11 2023 22:14:15 CET: %A-1-B: x", ""},
		{"Europe/Berlin", "<1>Oct 11 2023 22:14:15 EST: %A-1-B: x", ""},
		{"America/New_York", "<1>Dec 11 2023 22:14:15 EST: %A-1-B: x", "2023-12-11T22:14:15-05:00"},
		{"America/New_York", "<1>Dec 11 2023 22:14:15 EDT: %A-1-B: x", ""},
		{"Asia/Shanghai", "<1>Oct 11 2023 22:14:15 CST: %A-1-B: x", "2023-10-11T22:14:15+08:00"},
		{"UTC", "<1>Oct 11 2023 22:14:15 CST: %A-1-B: x", ""},
		{"America/Chicago", "<1>Dec 11 2023 22:14:15 CST: %A-1-B: x", "2023-12-11T22:14:15-06:00"},
		{"Asia/Shanghai", `device="SFW" date=2023-10-11 time=22:14:15 timezone="CST"`, "2023-10-11T22:14:15+08:00"},
		{"UTC", `device="SFW" date=2023-10-11 time=22:14:15 timezone="CST"`, ""},
		{"UTC", "<1>Oct 11 2023 22:14:15 GMT+2: %A-1-B: x", ""},
		{"Asia/Kolkata", `device="SFW" date=2023-10-11 time=22:14:15 timezone="IST"`, "2023-10-11T22:14:15+05:30"},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.text, func(t *testing.T) {
			d := Decoder{Location: location(t, tt.zone)}
			var m Message
			for range 2 { // the second time from the cached span
				d.Decode(&m, []byte(tt.text), receivedAt)
				if got := string(m.Timestamp); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestLocationChanges(t *testing.T) {
	var (
		d Decoder
		m Message
	)
	for _, tt := range []struct{ zone, want string }{
		{"Europe/Berlin", "2023-10-11T22:14:15+02:00"},
		{"UTC", "2023-10-11T22:14:15Z"},
		{"Asia/Tokyo", "2023-10-11T22:14:15+09:00"},
	} {
		d.Location = location(t, tt.zone)
		d.Decode(&m, []byte("Oct 11 22:14:15 h x"), receivedAt)
		if got := string(m.Timestamp); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.zone, got, tt.want)
		}
	}
	d.Location = nil
	d.Decode(&m, []byte("Oct 11 22:14:15 h x"), receivedAt)
	want := time.Date(2023, 10, 11, 22, 14, 15, 0, time.Local)
	if got, err := time.Parse(time.RFC3339, string(m.Timestamp)); err != nil || !got.Equal(want) {
		t.Errorf("nil: got %s, want %s", m.Timestamp, want)
	}
}

func TestMonths(t *testing.T) {
	d := Decoder{Location: time.UTC}
	for month := time.January; month <= time.December; month++ {
		want := time.Date(2023, month, 7, 1, 2, 3, 0, time.UTC)
		var m Message
		d.Decode(&m, []byte(want.Format("Jan _2 2006 15:04:05")+" h x"), receivedAt)
		if got := string(m.Timestamp); got != want.Format(time.RFC3339) {
			t.Errorf("got %s, want %v", got, want)
		}
	}
}

// TestZoneNames checks the zones of RFC 5322 section 4.3: only UTC has a single meaning.
func TestZoneNames(t *testing.T) {
	d := Decoder{Location: time.UTC}
	for _, zone := range []string{"UTC", "GMT", "UT", "Z"} {
		var m Message
		d.Decode(&m, []byte("Oct 11 2023 22:14:15 "+zone+": x"), receivedAt)
		if got, want := string(m.Timestamp), "2023-10-11T22:14:15Z"; got != want || string(m.Text) != "x" {
			t.Errorf("%s: got %s and %q, want %s", zone, got, m.Text, want)
		}
	}
	for _, zone := range []string{"EDT", "EST", "CDT", "CST", "MDT", "MST", "PDT", "PST"} {
		for _, text := range []string{"Oct 11 2023 22:14:15 " + zone + ": x", "1: Oct 11 2023 22:14:15 " + zone + ": x"} {
			var m Message
			d.Decode(&m, []byte(text), receivedAt)
			if m.Timestamp != nil || string(m.Text) != text || m.Prefix[0] != nil {
				t.Errorf("%s: got %s and %q", text, m.Timestamp, m.Text)
			}
		}
	}
}
