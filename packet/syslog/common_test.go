package syslog

import (
	"testing"
	"time"
)

// receivedAt is the time of receipt of samples, except where a test says otherwise.
var receivedAt = time.Date(2023, 10, 12, 0, 0, 0, 0, time.UTC)

// sample is a datagram and its record up to the tail, after the format and, after a colon, the
// malformed field. from names the document of the format. Addresses and names are reserved for
// documentation.
type sample struct{ from, in, want string }

// samples are the samples of all tables, for tests of properties and as seeds for fuzzing.
func samples() []sample {
	var all []sample
	for _, table := range [][]sample{
		rfc5424Samples, invalid5424Samples, malformed5424Samples, rfc3164Samples, tagSamples, ciscoSamples, fieldSamples,
		keyValueSamples, plainSamples, zoneSamples, twelveHourSamples, isoSamples, otherWordSamples,
	} {
		all = append(all, table...)
	}
	return all
}

func runSamples(t *testing.T, table []sample) {
	d := Decoder{Location: time.UTC}
	for _, s := range table {
		t.Run(s.from, func(t *testing.T) {
			if got := decode(&d, s.in); got != s.want {
				t.Errorf("%q\n got %s\nwant %s", s.in, got, s.want)
			}
		})
	}
}

func decode(d *Decoder, text string) string {
	var m Message
	d.Decode(&m, []byte(text), receivedAt)
	format := string(m.Format)
	if m.Malformed != "" {
		format += ":" + m.Malformed
	}
	return format + " " + string(m.AppendJSON(nil)) + "}"
}
