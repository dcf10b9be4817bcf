package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", `""`},
		{"plain", "an ordinary line of text", `"an ordinary line of text"`},
		{"quote and backslash", `say "hi" \o/`, `"say \"hi\" \\o/"`},
		{"short escapes", "\b\f\n\r\t", `"\b\f\n\r\t"`},
		{"control bytes in lower-case hex", "\x00\x01\x0b\x1b\x1f", `"\u0000\u0001\u000b\u001b\u001f"`},
		{"literal: DEL, HTML, slash", "\x7f<a href='/'>&", "\"\x7f<a href='/'>&\""},
		{"U+2028 and U+2029", "a\u2028b\u2029c", `"a\u2028b\u2029c"`},
		{"their neighbours", "\u2027\u202a", "\"\u2027\u202a\""},
		{"two, three and four bytes", "æ€𝄞", `"æ€𝄞"`},
		{"U+FFFD itself", "\uFFFD", "\"\uFFFD\""},
		{"each invalid byte", "\xff\xc3(\xe2\x82", "\"\uFFFD\uFFFD(\uFFFD\uFFFD\""},
		{"surrogate in UTF-8", "\xed\xa0\x80", "\"\uFFFD\uFFFD\uFFFD\""},
		{"over-long slash", "\xc0\xaf", "\"\uFFFD\uFFFD\""},
		{"escape after a word of eight", "12345678\"", `"12345678\""`},
		{"escapes next to each other over two words", "123456\"\\\n\"9abcdef", `"123456\"\\\n\"9abcdef"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendString(nil, []byte(tt.in))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestAppendStringEveryByte puts every byte at every place of two words.
func TestAppendStringEveryByte(t *testing.T) {
	for c := range 256 {
		for place := range 17 {
			in := bytes.Repeat([]byte{'x'}, 17)
			in[place] = byte(c)
			checkString(t, in)
		}
	}
}

func checkString(t *testing.T, in []byte) {
	t.Helper()
	out := AppendString([]byte("before"), in)
	out, ok := bytes.CutPrefix(out, []byte("before"))
	if !ok {
		t.Fatalf("%q: what was in the buffer is gone", in)
	}
	var got string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q: %s: %v", in, out, err)
	}
	if want := perByte(in); got != want {
		t.Fatalf("%q: got %q, want %q", in, got, want)
	}
	for _, c := range out {
		if c < ' ' {
			t.Fatalf("%q: control byte in %q", in, out)
		}
	}
	if !utf8.Valid(out) || strings.ContainsAny(string(out), "\u2028\u2029") {
		t.Fatalf("%q: got %q", in, out)
	}
}

// perByte returns s with U+FFFD for each byte that is not UTF-8.
func perByte(s []byte) string {
	var b strings.Builder
	for _, r := range string(s) { // the same rule as utf8.DecodeRune's
		b.WriteRune(r)
	}
	return b.String()
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{
		"", "plain", "\"\\\b\f\n\r\t\x00\x1f\x7f", "\u2028\u2029", "æ€𝄞", "\xff\xfe", "\xe2\x80", "<script>&",
		"Failed password for invalid user \"admin\" from 192.0.2.7 port 22 ssh2",
	} {
		f.Add([]byte(s), uint(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint) {
		checkString(t, in)

		// The same text in two parts, split at an ASCII byte.
		at := int(cut % uint(len(in)+1))
		if at > 0 && in[at-1] < utf8.RuneSelf {
			parts := AppendText(AppendText(nil, in[:at]), in[at:])
			if whole := AppendText(nil, in); !bytes.Equal(parts, whole) {
				t.Fatalf("%q in parts: %q, whole: %q", in, parts, whole)
			}
		}
	})
}

func BenchmarkAppendString(b *testing.B) {
	for _, bb := range []struct{ name, in string }{
		{"plain", strings.Repeat("Connection closed by 192.0.2.7 port 52144 [preauth] ", 3)},
		{"quoted", strings.Repeat(`id="0001" severity="info" sys="SecureWeb" `, 4)},
		{"cyrillic", strings.Repeat("соединение закрыто ", 5)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			in, buf := []byte(bb.in), make([]byte, 0, 1024)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendString(buf[:0], in)
			}
		})
	}
}
