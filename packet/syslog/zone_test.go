package syslog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// wholeRecord is the record of a text without any field but the PRI <13>.
func wholeRecord(from, text string) sample {
	return sample{from, "<13>" + text, `rfc3164 {"facility":"user","severity":"notice","message":"` + text + `"}`}
}

// headerRecord is the record of a text with PRI <13>, a timestamp and other members.
func headerRecord(from, text, timestamp, members string) sample {
	return sample{from, "<13>" + text, `rfc3164 {"timestamp":"` + timestamp + `",` + strings.TrimSuffix(members, "}") + "}"}
}

// Zones, by a host in UTC.
var zoneSamples = []sample{
	headerRecord("a hostname that is no year", `Oct 11 22:14:15 1969 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"1969","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a hostname that is no year yet", `Oct 11 22:14:15 2100 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"2100","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("the first year", `Oct 11 22:14:15 1970 h app: x`, "1970-10-11T22:14:15Z",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a zone, and a hostname that is no year", `Oct 11 22:14:15 UTC 1969 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"1969","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a firewall whose name is in capitals", `Oct 11 22:14:15 FIREWALL: %ASA-6-302013: Built`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"FIREWALL: %ASA-6-302013: Built"}`),
	wholeRecord("milliseconds behind a colon", `Oct 11 22:14:15:003 h app: x`),
	wholeRecord("zone before a hostname", `Dec 19 10:48:57 EST 192.0.2.28 app[1]: x`),
	wholeRecord("zone before a hostname, year", `Dec 19 2023 10:48:57 EST 192.0.2.28 app[1]: x`),
	wholeRecord("zone of summer before a hostname", `Jul 19 10:48:57 CEST h app[1]: x`),
	wholeRecord("zone alone", `Dec 19 10:48:57 CET`),
	wholeRecord("date(1), zone of more than one meaning", `Oct 11 22:14:15 IST 2023 h app: x`),
	wholeRecord("clock summer-time METDST", `Oct 11 22:14:15 METDST: %SYS-5-CONFIG_I: x`),
	wholeRecord("METDST without a mnemonic", `Oct 11 22:14:15 METDST: x`),
	wholeRecord("METDST before a hostname", `Oct 11 22:14:15 METDST h app: x`),
	wholeRecord("AUSEST", `Oct 11 22:14:15 AUSEST: %SYS-5-CONFIG_I: x`),
	wholeRecord("AUSEST before a hostname", `Oct 11 22:14:15 AUSEST h app: x`),
	wholeRecord("AUSEST after a sequence number", `29: Oct 11 22:14:15.003 AUSEST: %SYS-5-CONFIG_I: x`),
	wholeRecord("clock timezone Berlin", `Oct 11 22:14:15 Berlin: %SYS-5-CONFIG_I: x`),
	wholeRecord("clock timezone Berlin, year", `Oct 11 2023 22:14:15 Berlin: %SYS-5-CONFIG_I: x`),
	wholeRecord("clock timezone Berlin, origin-id", `rtr1: Oct 11 22:14:15 Berlin: %SYS-5-CONFIG_I: x`),
	wholeRecord("clock timezone Berlin, CiscoLog", `Oct 11 2023 22:14:15 Berlin : %UC_GENERIC-6-ServiceStarted: x`),
	wholeRecord("seven letters, the longest of IOS", `Oct 11 22:14:15 Pacific: %SYS-5-CONFIG_I: x`),
	wholeRecord("name of the IANA database", `Oct 11 22:14:15 Europe/Berlin h app: x`),
	wholeRecord("name of the IANA database, colon", `Oct 11 22:14:15 America/Argentina/ComodRivadavia: x`),
	wholeRecord("POSIX TZ", `Oct 11 22:14:15 EST5EDT h app: x`),
	wholeRecord("offset by name", `Oct 11 22:14:15 GMT+02:00 h app: x`),
	wholeRecord("offset that no zone has", `Oct 11 22:14:15 -2500 h app: x`),
	wholeRecord("number with a sign", `Oct 11 22:14:15 -1234 h app: x`),
	wholeRecord("two digits may be a number", `Oct 11 22:14:15 -03 h app: x`),
	wholeRecord("Sophos UTM with a zone", `2023:10:11-22:14:15 CEST utm-1 x`),

	headerRecord("UTC before a hostname", `Oct 11 22:14:15 UTC h app[1]: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"app","procid":"1","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("GMT before a hostname, fraction", `Oct 11 2023 22:14:15.003 GMT h x`, "2023-10-11T22:14:15.003Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("UTC before a tag", `Oct 11 22:14:15 UTC app: x`, "2023-10-11T22:14:15Z",
		`"appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("UTC alone", `Oct 11 22:14:15 UTC`, "2023-10-11T22:14:15Z", `"facility":"user","severity":"notice"}`),
	headerRecord("date(1)", `Oct 11 22:14:15 UTC 2020 h app: x`, "2020-10-11T22:14:15Z",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("date(1), offset", `Oct 11 22:14:15 +0200 2020 h app: x`, "2020-10-11T22:14:15+02:00",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	wholeRecord("date(1), 29 February of a year that has none", `Feb 29 22:14:15 UTC 2023 h app: x`),
	headerRecord("a hostname and a number that may be a year", `Oct 11 22:14:15 h 2020 x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"2020 x"}`),
	headerRecord("offset before a hostname", `Oct 11 22:14:15 -0500 h app: x`, "2023-10-11T22:14:15-05:00",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("offset with a colon before a hostname", `Oct 11 22:14:15 +05:30 h app: x`, "2023-10-11T22:14:15+05:30",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("offset of zero", `Oct 11 22:14:15 +0000 h app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("Cisco IOS: numeric zone", `29: *Oct 11 22:14:15.003 +0000: %SYS-5-CONFIG_I: x`, "2023-10-11T22:14:15.003Z",
		`"facility":"user","severity":"notice","message":"29: %SYS-5-CONFIG_I: x"}`),
	headerRecord("Cisco IOS: numeric zone, no sign of Cisco before it", `Oct 11 22:14:15 +0530: %SYS-5-CONFIG_I: x`,
		"2023-10-11T22:14:15+05:30", `"facility":"user","severity":"notice","message":"%SYS-5-CONFIG_I: x"}`),
	headerRecord("Cisco IOS: numeric zone, origin-id", `rtr1: Oct 11 22:14:15 -03: %SYS-5-CONFIG_I: x`, "2023-10-11T22:14:15-03:00",
		`"hostname":"rtr1","facility":"user","severity":"notice","message":"%SYS-5-CONFIG_I: x"}`),
	headerRecord("CiscoLog: numeric zone", `12: Oct 11 2023 22:14:15.003 +0200 : %UC_GENERIC-6-ServiceStarted: x`,
		"2023-10-11T22:14:15.003+02:00", `"facility":"user","severity":"notice","message":"12: %UC_GENERIC-6-ServiceStarted: x"}`),
	headerRecord("a dash is no zone", `Oct 11 22:14:15 - x`, "2023-10-11T22:14:15Z", `"facility":"user","severity":"notice","message":"- x"}`),
	headerRecord("a small number is no zone", `Oct 11 22:14:15 -5 degrees`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"-5 degrees"}`),
	headerRecord("a long number is no zone", `Oct 11 22:14:15 +123456 x`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"+123456 x"}`),
	headerRecord("an offset in a word is no zone", `Oct 11 22:14:15 -0500x y`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"-0500x y"}`),
	headerRecord("a zone in a word is none", `Oct 11 22:14:15 EST-fw1 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"EST-fw1","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a zone in small letters is a host", `Oct 11 22:14:15 cat app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"cat","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a zone with a PID is a program", `Oct 11 22:14:15 h CAT[5]: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"CAT","procid":"5","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a zone is no appname", `Oct 11 22:14:15 h UTC: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"UTC: x"}`),
	wholeRecord("a zone after the PRI is no appname", `EST: x`),
	headerRecord("a device's name that is no word", `Oct 11 22:14:15 rtr-a: %SYS-5-CONFIG_I: x`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"rtr-a: %SYS-5-CONFIG_I: x"}`),
	headerRecord("a device's name that is longer than a zone's", `Oct 11 22:14:15 corerouter: %SYS-5-CONFIG_I: x`, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"corerouter: %SYS-5-CONFIG_I: x"}`),
	headerRecord("Cisco ASA: device-id of letters", `Oct 12 2023 12:34:56 fwa : %ASA-6-302013: Built`, "2023-10-12T12:34:56Z",
		`"hostname":"fwa","facility":"user","severity":"notice","message":"%ASA-6-302013: Built"}`),
	headerRecord("Cisco ASA: device-id of letters, colon next to it", `Oct 12 2023 12:34:56 fwa: %FTD-6-302013: Built`, "2023-10-12T12:34:56Z",
		`"facility":"user","severity":"notice","message":"fwa: %FTD-6-302013: Built"}`),
	headerRecord("a program before the text of another", `Oct 11 22:14:15 Berlin: x`, "2023-10-11T22:14:15Z",
		`"appname":"Berlin","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("the text of a program begins with a time and a zone", `Oct 11 22:14:15 app: Oct 11 22:14:15 EST x`, "2023-10-11T22:14:15Z",
		`"appname":"app","facility":"user","severity":"notice","message":"Oct 11 22:14:15 EST x"}`),
	{"a program's text after the PRI", `<13>app: Oct 11 22:14:15 EST x`,
		`rfc3164 {"appname":"app","facility":"user","severity":"notice","message":"Oct 11 22:14:15 EST x"}`},
}

func TestZones(t *testing.T) { runSamples(t, zoneSamples) }

// Zones that the host's location has.
func TestOwnZones(t *testing.T) {
	tests := []struct{ zone, text, timestamp, hostname string }{
		{"America/New_York", "<13>Dec 19 10:48:57 EST 192.0.2.28 x", "2023-12-19T10:48:57-05:00", "192.0.2.28"},
		{"America/New_York", "<13>Dec 19 10:48:57 EDT 192.0.2.28 x", "", ""},
		{"America/New_York", "<13>Jul 19 10:48:57 EDT 192.0.2.28 x", "2023-07-19T10:48:57-04:00", "192.0.2.28"},
		{"America/New_York", "<13>Dec 19 10:48:57 EST 2020 h x", "2020-12-19T10:48:57-05:00", "h"},
		{"America/New_York", "<13>Dec 19 10:48:57 CST h x", "", ""},
		{"America/New_York", "<13>Dec 19 10:48:57 UTC h x", "2023-12-19T10:48:57Z", "h"},
		{"America/New_York", "<13>Dec 19 10:48:57 +0100 h x", "2023-12-19T10:48:57+01:00", "h"},
		{"America/New_York", "<13>2023-12-19 10:48:57 EST h x", "2023-12-19T10:48:57-05:00", "h"},
		{"Europe/Berlin", "<13>2023:10:11-22:14:15 CEST utm-1 x", "2023-10-11T22:14:15+02:00", "utm-1"},
		{"Europe/Berlin", "<13>Oct 11 22:14:15 Berlin: %SYS-5-CONFIG_I: x", "", ""},
		{"Europe/Berlin", "<13>Oct 11 22:14:15 METDST: %SYS-5-CONFIG_I: x", "", ""},
		{"Australia/Sydney", "<13>Oct 11 22:14:15 AUSEST: %SYS-5-CONFIG_I: x", "", ""},
		{"Australia/Sydney", "<13>Oct 11 22:14:15 AEDT h x", "2023-10-11T22:14:15+11:00", "h"},
		{"America/Sao_Paulo", "<13>Oct 11 22:14:15 -03 h x", "2023-10-11T22:14:15-03:00", "h"},
		{"America/Sao_Paulo", "<13>Oct 11 22:14:15 -02 h x", "", ""},
		{"America/Chicago", "<13>Aug 24 05:34:00 CST 1987 mymachine x", "", ""},
		{"America/Chicago", "<13>Aug 24 05:34:00 CDT 1987 mymachine x", "1987-08-24T05:34:00-05:00", "mymachine"},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.text, func(t *testing.T) {
			d := Decoder{Location: location(t, tt.zone)}
			var m Message
			d.Decode(&m, []byte(tt.text), receivedAt)
			if string(m.Timestamp) != tt.timestamp || string(m.Hostname) != tt.hostname {
				t.Errorf("got %q and %q, want %q and %q", m.Timestamp, m.Hostname, tt.timestamp, tt.hostname)
			}
			if tt.timestamp == "" && string(m.Text) != tt.text[len("<13>"):] {
				t.Errorf("the message is %q", m.Text)
			}
		})
	}
}

// TestClockPutBack checks the hour that exists twice at the end of summer time, received within
// either hour, and long after.
func TestClockPutBack(t *testing.T) {
	tests := []struct{ zone, stamp, received, want string }{
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-10-25T00:30:00.1Z", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-10-25T01:30:00.1Z", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "Oct 25 02:00:00", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00+02:00"},
		{"Europe/Berlin", "Oct 25 02:00:00", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00+01:00"},
		{"Europe/Berlin", "Oct 25 02:59:59", "2026-10-25T00:59:59Z", "2026-10-25T02:59:59+02:00"},
		{"Europe/Berlin", "Oct 25 02:59:59", "2026-10-25T01:59:59Z", "2026-10-25T02:59:59+01:00"},
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-10-25T01:00:00Z", "2026-10-25T02:30:00+02:00"}, // as near: the earlier
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-10-25T01:00:00.000000001Z", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-10-24T00:00:00Z", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "Oct 25 02:30:00", "2026-12-24T00:00:00Z", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "Oct 25 01:59:59", "2026-10-25T01:30:00Z", "2026-10-25T01:59:59+02:00"},
		{"Europe/Berlin", "Oct 25 03:00:00", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00+01:00"},
		{"Europe/London", "Oct 25 01:30:00", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00+01:00"},
		{"Europe/London", "Oct 25 01:30:00", "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"},
		{"America/New_York", "Nov  1 01:30:00", "2026-11-01T05:30:00Z", "2026-11-01T01:30:00-04:00"},
		{"America/New_York", "Nov  1 01:30:00", "2026-11-01T06:30:00Z", "2026-11-01T01:30:00-05:00"},
		{"America/St_Johns", "Nov  1 01:30:00", "2026-11-01T04:00:00Z", "2026-11-01T01:30:00-02:30"},
		{"America/St_Johns", "Nov  1 01:30:00", "2026-11-01T05:00:00Z", "2026-11-01T01:30:00-03:30"},
		{"America/Santiago", "Apr  4 23:30:00", "2026-04-05T02:30:00Z", "2026-04-04T23:30:00-03:00"},
		{"America/Santiago", "Apr  4 23:30:00", "2026-04-05T03:30:00Z", "2026-04-04T23:30:00-04:00"},
		{"Australia/Sydney", "Apr  5 02:30:00", "2026-04-04T15:30:00Z", "2026-04-05T02:30:00+11:00"},
		{"Australia/Sydney", "Apr  5 02:30:00", "2026-04-04T16:30:00Z", "2026-04-05T02:30:00+10:00"},
		{"Australia/Lord_Howe", "Apr  5 01:45:00", "2026-04-04T14:45:00Z", "2026-04-05T01:45:00+11:00"}, // half an hour
		{"Australia/Lord_Howe", "Apr  5 01:45:00", "2026-04-04T15:15:00Z", "2026-04-05T01:45:00+10:30"},
		{"Australia/Lord_Howe", "Apr  5 01:15:00", "2026-04-04T15:15:00Z", "2026-04-05T01:15:00+11:00"},
		{"Pacific/Auckland", "Apr  5 02:30:00", "2026-04-04T14:30:00Z", "2026-04-05T02:30:00+12:00"},
		{"Europe/Berlin", "2026:10:25-02:30:00", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "Oct 25 02:30:00 AM", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00+01:00"},

		// The name of the zone decides, at any time of receipt.
		{"Europe/Berlin", "Oct 25 02:30:00 CEST", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "Oct 25 02:30:00 CET", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "29: Oct 25 02:30:00.003 CEST:", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00.003+02:00"},
		{"Europe/Berlin", "29: Oct 25 02:30:00.003 CET:", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00.003+01:00"},
		{"Europe/Berlin", "Oct 25 01:59:59 CET", "2026-10-25T00:30:00Z", ""},
		{"Europe/Berlin", "Oct 25 03:00:00 CEST", "2026-10-25T00:30:00Z", ""},
		{"America/New_York", "Nov  1 01:30:00 EDT", "2026-11-01T06:30:00Z", "2026-11-01T01:30:00-04:00"},
		{"America/New_York", "Nov  1 01:30:00 EST", "2026-11-01T05:30:00Z", "2026-11-01T01:30:00-05:00"},
		{"America/New_York", "Nov  1 02:00:00 EDT", "2026-11-01T06:30:00Z", ""},
		{"Australia/Sydney", "Apr  5 02:30:00 AEDT", "2026-04-04T16:30:00Z", "2026-04-05T02:30:00+11:00"},
		{"Australia/Sydney", "Apr  5 02:30:00 AEST", "2026-04-04T15:30:00Z", "2026-04-05T02:30:00+10:00"},
		{"Australia/Lord_Howe", "Apr  5 01:45:00 +11:", "2026-04-04T15:15:00Z", "2026-04-05T01:45:00+11:00"},
		{"Australia/Lord_Howe", "Apr  5 01:45:00 +1030", "2026-04-04T14:45:00Z", "2026-04-05T01:45:00+10:30"},
	}
	runClock(t, tests)
}

// TestClockPutForward checks the hour that does not exist in spring. Clocks that change too late or
// too early send such times.
func TestClockPutForward(t *testing.T) {
	runClock(t, []struct{ zone, stamp, received, want string }{
		{"Europe/Berlin", "Mar 29 02:30:00", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00+01:00"},
		{"Europe/Berlin", "Mar 29 02:30:00", "2026-03-29T00:30:00Z", "2026-03-29T02:30:00+02:00"},
		{"Europe/Berlin", "Mar 29 02:30:00", "2026-07-24T00:00:00Z", "2026-03-29T02:30:00+01:00"},
		{"Europe/Berlin", "Mar 29 01:59:59", "2026-03-29T01:30:00Z", "2026-03-29T01:59:59+01:00"},
		{"Europe/Berlin", "Mar 29 03:00:00", "2026-03-29T00:30:00Z", "2026-03-29T03:00:00+02:00"},
		{"America/New_York", "Mar  8 02:30:00", "2026-03-08T07:30:00Z", "2026-03-08T02:30:00-05:00"},
		{"America/New_York", "Mar  8 02:30:00", "2026-03-08T06:30:00Z", "2026-03-08T02:30:00-04:00"},
		{"Australia/Sydney", "Oct  4 02:30:00", "2026-10-03T16:30:00Z", "2026-10-04T02:30:00+10:00"},
		{"Australia/Lord_Howe", "Oct  4 02:15:00", "2026-10-03T15:45:00Z", "2026-10-04T02:15:00+10:30"},
		{"Australia/Lord_Howe", "Oct  4 02:45:00", "2026-10-03T15:45:00Z", "2026-10-04T02:45:00+11:00"},
		{"Europe/Berlin", "Mar 29 02:30:00 CET", "2026-03-29T00:30:00Z", "2026-03-29T02:30:00+01:00"},
		{"Europe/Berlin", "Mar 29 02:30:00 CEST", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00+02:00"},
	})
}

func runClock(t *testing.T, tests []struct{ zone, stamp, received, want string }) {
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.stamp+" "+tt.received, func(t *testing.T) {
			received, err := time.Parse(time.RFC3339, tt.received)
			if err != nil {
				t.Fatal(err)
			}
			d := Decoder{Location: location(t, tt.zone)}
			var m Message
			for range 2 { // the second time from the cached span
				d.Decode(&m, []byte("<13>"+tt.stamp+" h x"), received)
				if got := string(m.Timestamp); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// TestOffsets compares with a simple rule, on each half of an hour of years with changes: an offset
// is right if the location has the offset at the resulting time. Of two offsets, the rule uses the
// time nearest to receipt. The order of the local times leaves spans and returns to them.
func TestOffsets(t *testing.T) { failIfEndless(t, compareOffsets) }

// failIfEndless fails a test that does not end, since a lookup could loop for ever.
func failIfEndless(t *testing.T, test func(t *testing.T)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(t)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

func compareOffsets(t *testing.T) {
	halves := 366 * 48
	if testing.Short() {
		halves /= 16 // spread over the year
	}
	for _, name := range []string{
		"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Santiago",
		"Australia/Sydney", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "Asia/Kathmandu", "Asia/Pyongyang", "Pacific/Apia",
	} {
		where := location(t, name)
		var k clock
		for _, year := range []int{2011, 2015, 2023, 2026, 2060} {
			k.prepare(where, time.Date(year, 7, 1, 0, 0, 0, 0, time.UTC))
			for half := range halves {
				at := time.Date(year, 1, 1, 0, 15, 0, 0, time.UTC).Add(time.Duration(half*7919%(366*48)) * 30 * time.Minute)
				c := civilTime{year: at.Year(), month: int(at.Month()), day: at.Day(), hour: at.Hour(), minute: at.Minute()}
				got := k.localOffset(&c)
				best, found := 0, false
				for minutes := -12 * 60; minutes <= 14*60; minutes += 15 {
					time := at.Add(-minute(minutes))
					if _, offset := time.In(where).Zone(); offset != minutes*60 {
						continue
					}
					if !found || isNearer(time, at.Add(-second(best)), k.receivedAt) {
						best, found = minutes*60, true
					}
				}
				if found && got != best {
					t.Errorf("%s: %v: offset %d, want %d", name, at, got, best)
				}
				_, before := at.Add(-26 * time.Hour).In(where).Zone()
				_, after := at.Add(26 * time.Hour).In(where).Zone()
				if !found && got != before && got != after {
					t.Errorf("%s: %v, which does not exist: offset %d, want %d or %d", name, at, got, before, after)
				}
			}
		}
	}
}

// TestLookUpEnds decodes local times at the ends of years beyond the tables of zones.
func TestLookUpEnds(t *testing.T) { failIfEndless(t, decodeEndsOfYears) }

func decodeEndsOfYears(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Sydney", "Europe/Dublin"} {
		d := Decoder{Location: location(t, zone)}
		for year := 2036; year < 2100; year++ {
			for _, day := range []string{"Dec 29", "Dec 30", "Dec 31", "Jan  1", "Jan  2"} {
				stamp := fmt.Sprintf("%s %d 12:30:00", day, year)
				var m Message
				d.Decode(&m, []byte("<13>"+stamp+" h x"), receivedAt)
				if !strings.HasPrefix(string(m.Timestamp), fmt.Sprint(year)) {
					t.Errorf("%s in %s: %q", stamp, zone, m.Timestamp)
				}
			}
		}
	}
}

func minute(n int) time.Duration { return time.Duration(n) * time.Minute }
func second(n int) time.Duration { return time.Duration(n) * time.Second }

// isNearer reports whether a is nearer to receipt than b, or at the same distance and before b.
func isNearer(a, b, receivedAt time.Time) bool {
	if x, y := a.Sub(receivedAt).Abs(), b.Sub(receivedAt).Abs(); x != y {
		return x < y
	}
	return a.Before(b)
}

var twelveHourSamples = []sample{
	headerRecord("Cisco Unified Communications Manager", `17: Nov 28 2023 11:40:12 PM.123 UTC : %UC_AUDITLOG-5-X: y`,
		"2023-11-28T23:40:12.123Z", `"facility":"user","severity":"notice","message":"17: %UC_AUDITLOG-5-X: y"}`),
	headerRecord("the same, AM", `17: Nov 28 2023 11:40:12 AM.123 UTC : %UC_AUDITLOG-5-X: y`,
		"2023-11-28T11:40:12.123Z", `"facility":"user","severity":"notice","message":"17: %UC_AUDITLOG-5-X: y"}`),
	headerRecord("the same, origin-id", `17: ccm1: Nov 28 2023 01:40:12 PM.123 UTC : %UC_AUDITLOG-5-X: y`,
		"2023-11-28T13:40:12.123Z", `"hostname":"ccm1","facility":"user","severity":"notice","message":"17: %UC_AUDITLOG-5-X: y"}`),
	wholeRecord("the same, a zone that is not known", `17: Nov 28 2023 11:40:12 PM.123 CEST : %UC_AUDITLOG-5-X: y`),
	headerRecord("12 AM is midnight", `Oct 11 12:00:00 AM h app: x`, "2023-10-11T00:00:00Z",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("12 PM is noon", `Oct 11 12:00:00 PM h app: x`, "2023-10-11T12:00:00Z",
		`"hostname":"h","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("12:59:59 AM", `Oct 11 12:59:59 AM h x`, "2023-10-11T00:59:59Z", `"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("1 PM", `Oct 11 01:00:00 PM h x`, "2023-10-11T13:00:00Z", `"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("small letters", `Oct 11 11:14:15 pm h x`, "2023-10-11T23:14:15Z", `"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("fraction before it", `Oct 11 11:14:15.003 PM h x`, "2023-10-11T23:14:15.003Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("year behind it", `Oct 11 11:14:15 PM 2020 h x`, "2020-10-11T23:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("colon behind it", `Oct 11 2023 11:14:15 PM: %SYS-5-CONFIG_I: x`, "2023-10-11T23:14:15Z",
		`"facility":"user","severity":"notice","message":"%SYS-5-CONFIG_I: x"}`),
	headerRecord("zone behind it", `Oct 11 11:14:15 PM UTC h x`, "2023-10-11T23:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("offset behind it", `Oct 11 11:14:15 PM -0500 h x`, "2023-10-11T23:14:15-05:00",
		`"hostname":"h","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("nothing behind it", `Oct 11 11:14:15 PM`, "2023-10-11T23:14:15Z", `"facility":"user","severity":"notice"}`),
	wholeRecord("13 PM", `Oct 11 13:00:00 PM h app: x`),
	wholeRecord("23 PM", `Oct 11 23:14:15 PM.123 UTC : %UC_AUDITLOG-5-X: y`),
	wholeRecord("0 AM", `Oct 11 00:14:15 AM h app: x`),
	wholeRecord("0 PM", `Oct 11 00:14:15 PM h app: x`),
	wholeRecord("13 AM", `Oct 11 13:14:15 AM h app: x`),
	wholeRecord("two fractions", `Oct 11 11:14:15.1 PM.2 h app: x`),
	wholeRecord("a point and no fraction", `Oct 11 11:14:15 PM. h app: x`),
	wholeRecord("ten fraction digits", `Oct 11 11:14:15 PM.1234567890 h app: x`),
	wholeRecord("text behind it", `Oct 11 11:14:15 PM, h app: x`),
	headerRecord("a host named like it", `Oct 11 11:14:15 pm1 app: x`, "2023-10-11T11:14:15Z",
		`"hostname":"pm1","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a host's full name", `Oct 11 22:14:15 pm.example.net app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"pm.example.net","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a program named like it", `Oct 11 22:14:15 am[12]: x`, "2023-10-11T22:14:15Z",
		`"appname":"am","procid":"12","facility":"user","severity":"notice","message":"x"}`),
}

func TestTwelveHourClock(t *testing.T) { runSamples(t, twelveHourSamples) }
