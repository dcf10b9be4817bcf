package record

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendEscaped(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "<13>an ordinary line of text", "<13>an ordinary line of text"},
		{"line ends and NULs", "a\r\n\x00b\n", "a#015#012#000b#012"},
		{"tab, escape, unit separator, DEL", "\t\x1b\x1f\x7f", "#011#033#037#177"},
		{"number sign", "#012 ##", "#043012 #043#043"},
		{"space, tilde and bytes above ASCII", " ~\x80\xa3\xff\u2028", " ~\x80\xa3\xff\u2028"},
		{"after a word of eight", "12345678\n", "12345678#012"},
		{"next to each other over two words", "123456\n#\x7f\x009abcdef", "123456#012#043#177#0009abcdef"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendEscaped(nil, []byte(tt.in))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"every kind", "a#012#000b#043", "a\n\x00b#"},
		{"all bits", "#377#200", "\xff\x80"},
		{"too large", "#400#777", "#400#777"},
		{"no octal digits", "#08x #x #12 #/12 #1:2", "#08x #x #12 #/12 #1:2"},
		{"cut", "#01", "#01"},
		{"a number sign alone", "#", "#"},
		{"a number sign before an escape", "##012", "#\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Unescape([]byte(tt.in))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAppendLine(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "an ordinary line # of text", "an ordinary line # of text"},
		{"control characters", "a\nb\x7f\x00\tc", "a#012b#177#000#011c"},
		{"UTF-8 of two to four bytes", "æ€𝄞\u2028\u0085\uFFFD", "æ€𝄞\u2028\u0085\uFFFD"},
		{"each invalid byte", "\xff\xc3(\xe2\x82", "\uFFFD\uFFFD(\uFFFD\uFFFD"},
		{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendLine([]byte("before"), []byte(tt.in))); got != "before"+tt.want {
				t.Errorf("got %q, want %q", got, "before"+tt.want)
			}
		})
	}
}

// TestEscapeEveryByte puts every byte at every place of two words, beside bytes on which the
// comparison of words may depend.
func TestEscapeEveryByte(t *testing.T) {
	for _, around := range []byte{'x', ' ', '~', 0x80, 0xa0, 0xff} {
		for c := range 256 {
			for place := range 17 {
				in := bytes.Repeat([]byte{around}, 17)
				in[place] = byte(c)
				checkEscape(t, in)
			}
		}
	}
}

func checkEscape(t *testing.T, in []byte) {
	t.Helper()
	escaped := AppendEscaped([]byte("before"), in)
	escaped, ok := bytes.CutPrefix(escaped, []byte("before"))
	if !ok {
		t.Fatalf("%q: the start of the buffer is gone", in)
	}
	var want, line []byte // byte by byte
	for _, c := range in {
		if c < ' ' || c == 0x7f || c == '#' {
			want = fmt.Appendf(want, "#%03o", c)
		} else {
			want = append(want, c)
		}
	}
	if !bytes.Equal(escaped, want) {
		t.Fatalf("%q: got %q, want %q", in, escaped, want)
	}
	if got := Unescape(bytes.Clone(escaped)); !bytes.Equal(got, in) {
		t.Fatalf("%q: escaped and unescaped: %q", in, got)
	}
	for _, r := range perByte(in) {
		if r < ' ' || r == 0x7f {
			line = fmt.Appendf(line, "#%03o", r)
		} else {
			line = utf8.AppendRune(line, r)
		}
	}
	if got := AppendLine(nil, in); !bytes.Equal(got, line) {
		t.Fatalf("%q: as a line: got %q, want %q", in, got, line)
	}
}

// FuzzEscape checks lines that AppendEscaped has written, and that a line of another origin keeps
// all that is no escape.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{
		"", "plain", "a\nb\x00\r\n", "#012", "###", "#4#40#400", "\xff\x7f\x80#", "123456\n#\x7f\x009", "æ\u2028\xe2\x80",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		checkEscape(t, in)
		out := Unescape(bytes.Clone(in))
		if again := Unescape(AppendEscaped(nil, out)); !bytes.Equal(again, out) {
			t.Fatalf("%q: unescaped %q, then %q", in, out, again)
		}
		if len(out) > len(in) || !bytes.ContainsRune(in, '#') && !bytes.Equal(in, out) {
			t.Fatalf("%q: unescaped %q", in, out)
		}
	})
}

func TestEscapeAllocatesNothing(t *testing.T) {
	in := []byte(strings.Repeat("a line\n# of \xff\xfe text\x00 æ ", 20))
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendLine(buf[:0], in)
		buf = AppendEscaped(buf[:0], in)
		buf = Unescape(buf)
	}); n != 0 || !bytes.Equal(buf, in) {
		t.Errorf("%v allocations, %q", n, buf)
	}
}

func BenchmarkEscape(b *testing.B) {
	texts := map[string]string{
		"plain":    strings.Repeat("Connection closed by 192.0.2.7 port 52144 [preauth] ", 3) + "\n",
		"cyrillic": strings.Repeat("соединение закрыто ", 5),
		"control":  strings.Repeat("\x01", 160),
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		in := []byte(texts[name])
		escaped := AppendEscaped(nil, in)
		for _, f := range []struct {
			name string
			in   []byte
			call func(dst, in []byte) []byte
		}{{"AppendEscaped", in, AppendEscaped}, {"AppendLine", in, AppendLine}, {"Unescape", escaped, func(dst, in []byte) []byte {
			return Unescape(append(dst, in...))
		}}} {
			b.Run(f.name+"/"+name, func(b *testing.B) {
				buf := make([]byte, 0, 1024)
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					buf = f.call(buf[:0], f.in)
				}
			})
		}
	}
}
