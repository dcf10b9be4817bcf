package relp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestParseFrame(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "incomplete",
		"1":                         "incomplete",
		"999999999":                 "incomplete",
		"1 ":                        "incomplete",
		"1 rsp":                     "incomplete",
		"1 rsp ":                    "incomplete",
		"1 rsp 6":                   "incomplete",
		"1 rsp 6 200 OK":            "incomplete",
		"1 rsp 131072 x":            "incomplete",
		"1 " + letters(32):          "incomplete",
		"1 rsp 6 200 OK\nrest":      `1 rsp "200 OK" 15`,
		"0 serverclose 0\n":         `0 serverclose "" 16`,
		"999999999 rsp 1 \n\n":      `999999999 rsp "\n" 18`,
		"1 " + letters(32) + " 0\n": "1 " + letters(32) + ` "" 37`,
		"01 rsp 02 ab\n":            `1 rsp "ab" 13`,
		"1000000000":                "error",
		"1 " + letters(33):          "error",
		" 1 rsp 0\n":                "error",
		"-1 rsp 0\n":                "error",
		"1  rsp 0\n":                "error",
		"1 r-p 0\n":                 "error",
		"1 rsp x\n":                 "error",
		"1 rsp \n":                  "error",
		"1 rsp 1000000000 x":        "error",
		"1 rsp 131073 x":            "error",
		"1 rsp 0 \n":                "error",
		"1 rsp 2\nab\n":             "error",
		"1 rsp 2 abc\n":             "error",
		"\x15\x03\x01\x00\x02\x02":  "error",
	} {
		f, size, err := parseFrame([]byte(text))
		got := fmt.Sprintf("%d %s %q %d", f.transaction, f.command, f.data, size)
		switch {
		case err != nil:
			got = "error"
		case size == 0:
			got = "incomplete"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", text, got, err, want)
		}
	}
}

func letters(n int) string { return strings.Repeat("z", n) }

// FuzzResponses feeds what a server may send: the reader takes the same frames and finds the same
// error however the bytes are cut, and a frame is what appendFrame writes.
func FuzzResponses(f *testing.F) {
	for _, seed := range []string{
		"2 rsp 6 200 OK\n3 rsp 6 200 OK\n",
		"3 rsp 12 500 disk full\n2 rsp 3 200\n",
		"2 rsp 9 200 OK\nxy\n0 serverclose 0\n",
		"0 hint 1 x\n2 rsp 0\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n",
		"2 rsp 131073 x",
		"2 rsp 6 200 OK\n2 rsp 6 200 OK\n",
		"4 rsp 7 200  OK\n5 rsp 6 200 OK\n6 rsp 6 200 OK\n",
		"\x15\x03\x01\x00\x02\x02\x46",
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole, wholeErr := feed(text)
		cut = min(max(cut, 0), len(text))
		pieces, piecesErr := feed(text[:cut], text[cut:])
		if fmt.Sprint(whole.answers, whole.reasons, whole.open) != fmt.Sprint(pieces.answers, pieces.reasons, pieces.open) {
			t.Errorf("cut at %d: %v, want %v", cut, pieces, whole)
		}
		if (wholeErr == nil) != (piecesErr == nil) {
			t.Errorf("cut at %d: %v, want %v", cut, piecesErr, wholeErr)
		}
		answered := 0
		for _, a := range whole.answers {
			if a != unanswered {
				answered++
			}
		}
		if answered != whole.answered() || len(whole.reasons) > answered {
			t.Errorf("%d answers, %d counted, %d rejected", answered, whole.answered(), len(whole.reasons))
		}
		if frame, size, err := parseFrame(text); err == nil && size > 0 {
			again := appendFrame(nil, frame.transaction, string(frame.command), frame.data)
			second, n, err := parseFrame(again)
			if err != nil || n != len(again) || n > size || second.transaction != frame.transaction ||
				!bytes.Equal(second.data, frame.data) {
				t.Errorf("%q is written as %q: %v", text[:size], again, err)
			}
		}
	})
}

// feed returns the transactions of five records after the responses in pieces.
func feed(pieces ...[]byte) (*transactions, error) {
	batch := &transactions{}
	batch.reset(make([][]byte, 5), 1)
	batch.first, batch.sent, batch.open = 2, 5, 5
	s := &session{socket: newPacedConn(nil), batch: batch, changed: make(chan struct{}, 1)}
	var text []byte
	for _, p := range pieces {
		text = append(text, p...)
		used, err := s.process(text)
		if err != nil {
			return batch, err
		}
		text = text[used:]
	}
	return batch, nil
}

// Frames and responses cost no allocation.
func TestAllocations(t *testing.T) {
	const n = 1000
	records := make([][]byte, n)
	var text []byte
	for i := range records {
		records[i] = []byte(numbered(i))
		text = appendFrame(text, 2+i, "rsp", []byte("200 OK"))
	}
	var batch transactions
	s := &session{socket: newPacedConn(nil), batch: &batch, changed: make(chan struct{}, 1)}
	var frames []byte
	allocations := testing.AllocsPerRun(10, func() {
		batch.reset(records, defaultMaxSize)
		batch.first, batch.sent, batch.open = 2, n, n
		frames = frames[:0]
		for i, r := range records {
			frames = appendFrame(frames, 2+i, "syslog", r)
		}
		if used, err := s.process(text); used != len(text) || err != nil {
			t.Error(used, err)
		}
		if err := batch.result(nil); err != nil {
			t.Error(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations for %d records", allocations, n)
	}
}
