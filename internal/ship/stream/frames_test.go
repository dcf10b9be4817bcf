package stream

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// escapeSlowly is appendEscaped, a byte at a time.
func escapeSlowly(record []byte) (line []byte) {
	for _, c := range record {
		if c < 0x20 || c == 0x7f {
			line = fmt.Appendf(line, "#%03o", c)
		} else {
			line = append(line, c)
		}
	}
	return line
}

func FuzzAppendEscaped(f *testing.F) {
	f.Add([]byte("plain text, longer than eight bytes"))
	f.Add([]byte("\x00\x1f \x7f\x80\xff#012\n"))
	f.Fuzz(func(t *testing.T, record []byte) {
		got := appendEscaped([]byte("before"), record)
		if want := append([]byte("before"), escapeSlowly(record)...); !bytes.Equal(got, want) {
			t.Errorf("%q: %q, want %q", record, got, want)
		}
	})
}

// Each byte value is found at each place of a word, beside each of some other bytes.
func TestAppendEscapedEachByte(t *testing.T) {
	for _, beside := range []byte{0, 0x1f, 0x20, 'x', 0x7e, 0x7f, 0x80, 0xff} {
		for place := range 17 {
			for c := range 256 {
				record := bytes.Repeat([]byte{beside}, 17)
				record[place] = byte(c)
				if got, want := appendEscaped(nil, record), escapeSlowly(record); !bytes.Equal(got, want) {
					t.Fatalf("%q: %q, want %q", record, got, want)
				}
			}
		}
	}
}

func TestFramesWithin(t *testing.T) {
	f := frames{octetCounting: true}
	f.fill([][]byte{nil, []byte("ab"), nil, []byte("c"), nil}) // 4 and 3 bytes
	for n, want := range []int{1, 1, 1, 1, 3, 3, 3, 5} {
		if got := f.within(n); got != want {
			t.Errorf("%d bytes: %d records, want %d", n, got, want)
		}
	}
}

// The overlap has the last whole frames without gaps.
func TestOverlap(t *testing.T) {
	for size := range 40 {
		o := newOverlap(size)
		var all []string
		for round := range 200 {
			var records [][]byte
			for i := range round % 5 {
				record := strings.Repeat(string(rune('a'+(round+i)%26)), (round*7+i*3)%12)
				records = append(records, []byte(record))
			}
			f := frames{octetCounting: round%2 == 0}
			f.fill(records)
			n := min(len(records), round%3)
			o.add(&f, n)
			for i := range n {
				if frame := string(f.bytes[f.start(i):f.ends[i]]); frame != "" {
					all = append(all, frame)
				}
			}
			var want []string
			room := size
			for i := len(all) - 1; i >= 0 && len(all[i]) <= room; i-- {
				room -= len(all[i])
				want = append(want, all[i])
			}
			slices.Reverse(want)
			older, newer := o.parts()
			got := string(older) + string(newer)
			if got != strings.Join(want, "") || o.frames() != len(want) {
				t.Fatalf("size %d, round %d: %d frames %q, want %q", size, round, o.frames(), got, want)
			}
		}
	}
}
