package loadgen

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// defaultLine is an RFC 5424 line, facility local0 and severity info. With a Size too small for
// defaultLine, tokenOnly is used.
const (
	token       = "run={run} flow={flow} n={seq}"
	defaultLine = "<134>1 {time} flow{flow} udpshard - - - " + token
	tokenOnly   = token
)

// timeForm is RFC 3339 in UTC, of constant length.
const timeForm = "2006-01-02T15:04:05.000000Z"

// text makes payloads. Senders share a text, and only read from it.
type text struct {
	lines    [][]piece
	size     int // of every payload; 0: the length of its text
	longest  int
	Numbered bool // every line has the token
}

type piece struct {
	kind    byte // 0: literal; f, s, t
	literal string
}

func newRun() string { return strings.ToLower(rand.Text()[:6]) }

// parseLine splits a template at its placeholders. All other braces are text.
func parseLine(line, run string) []piece {
	line = strings.ReplaceAll(line, "{run}", run)
	var pieces []piece
	for line != "" {
		at, kind, width := len(line), byte(0), 0
		for name, k := range map[string]byte{"{flow}": 'f', "{seq}": 's', "{time}": 't'} {
			if i := strings.Index(line, name); i >= 0 && i < at {
				at, kind, width = i, k, len(name)
			}
		}
		if at > 0 {
			pieces = append(pieces, piece{literal: line[:at]})
		}
		if kind != 0 {
			pieces = append(pieces, piece{kind: kind})
		}
		line = line[at+width:]
	}
	return pieces
}

// maxLength returns a line's length with a sequence number of ten digits, which a flow reaches only
// after hours.
func maxLength(line []piece, flows int) int {
	n := 0
	for _, p := range line {
		switch p.kind {
		case 0:
			n += len(p.literal)
		case 'f':
			n += len(strconv.Itoa(flows - 1))
		case 's':
			n += 10
		case 't':
			n += len(timeForm)
		}
	}
	return n
}

// newText returns the text of a complete Config.
func newText(c Config) (*text, error) {
	lines, numbered := c.Lines, true
	if len(lines) == 0 {
		lines = []string{defaultLine}
		if c.Size > 0 && maxLength(parseLine(defaultLine, c.Run), c.Flows) > c.Size {
			lines = []string{tokenOnly}
		}
		if c.Size > 0 && maxLength(parseLine(lines[0], c.Run), c.Flows) > c.Size {
			lines = []string{strings.Repeat("x", c.Size)}
		}
	}
	t := &text{size: c.Size}
	for i, line := range lines {
		numbered = numbered && strings.Contains(line, token)
		pieces := parseLine(line, c.Run)
		n := maxLength(pieces, c.Flows)
		if c.Size > 0 && n > c.Size {
			return nil, &ConfigError{"Size", fmt.Errorf("%d is less than the %d bytes of line %d", c.Size, n, i+1)}
		}
		t.longest = max(t.longest, n)
		t.lines = append(t.lines, pieces)
	}
	t.Numbered = numbered
	if c.GSO > 1 && t.size == 0 {
		t.size = t.longest // all segments have one size
	}
	t.longest = max(t.longest, t.size)
	if t.longest > maxPayload {
		return nil, &ConfigError{"Lines", fmt.Errorf("a line takes %d bytes, a datagram at most %d", t.longest, maxPayload)}
	}
	if c.GSO*t.longest > maxPayload {
		return nil, &ConfigError{"GSO", fmt.Errorf("%d segments of %d bytes are longer than the %d bytes of a GSO batch", c.GSO, t.longest, maxPayload)}
	}
	if t.longest == 0 {
		return nil, &ConfigError{"Lines", errors.New("the lines are empty")}
	}
	return t, nil
}

// append appends the payload of a flow's datagram; now is a rendered time.
func (t *text) append(dst []byte, flow int, seq uint64, now []byte) []byte {
	began := len(dst)
	for _, p := range t.lines[(uint64(flow)+seq)%uint64(len(t.lines))] {
		switch p.kind {
		case 0:
			dst = append(dst, p.literal...)
		case 'f':
			dst = strconv.AppendInt(dst, int64(flow), 10)
		case 's':
			dst = strconv.AppendUint(dst, seq, 10)
		case 't':
			dst = append(dst, now...)
		}
	}
	if t.size == 0 {
		return dst
	}
	return pad(dst, began+t.size)
}

// filler begins with a space, which keeps the filler from extending a number.
const filler = " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

func pad(dst []byte, size int) []byte {
	if len(dst) < size {
		dst = append(dst, filler[:min(size-len(dst), len(filler))]...)
	}
	for len(dst) < size {
		dst = append(dst, filler[1:min(size-len(dst)+1, len(filler))]...)
	}
	return dst[:size]
}

func appendTime(dst []byte, now time.Time) []byte { return now.UTC().AppendFormat(dst, timeForm) }
