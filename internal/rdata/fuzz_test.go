package rdata

import (
	"strings"
	"testing"
)

// FuzzParse checks that the data that Parse makes of a text passes Check, and is read back from its own text.
func FuzzParse(f *testing.F) {
	for _, tt := range records {
		f.Add(tt.text)
	}
	for _, tt := range badRecords {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\r\n") {
			return
		}
		if rtype, data, err := parseText(text); err == nil {
			checkRoundTrip(t, rtype, data)
		}
	})
}

// FuzzCheck checks that data which passes Check is read back from its own text.
func FuzzCheck(f *testing.F) {
	for _, tt := range records {
		if rtype, data, err := parseText(tt.text); err == nil {
			f.Add(rtype, data)
		}
	}
	f.Fuzz(func(t *testing.T, rtype uint16, data []byte) {
		AppendText(nil, rtype, data)
		if Check(rtype, data) == nil {
			checkRoundTrip(t, rtype, data)
		}
	})
}
