package record

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const fieldLine = `{"hostname":"web1","structured_data":{"a@1":{"severity":"no","x":["]}",{"y":"{"}]}},` +
	`"severity":"crit","message":"say \"hi\" \\","shard":12,"source":"192.0.2.7:514","truncated":true}`

func TestField(t *testing.T) {
	for _, tt := range []struct{ name, line, key, want string }{
		{"first", fieldLine, "hostname", "web1"},
		{"after an object with the same key", fieldLine, "severity", "crit"},
		{"as written", fieldLine, "message", `say \"hi\" \\`},
		{"after a number", fieldLine, "source", "192.0.2.7:514"},
		{"with a newline", fieldLine + "\n", "source", "192.0.2.7:514"},
		{"no string", fieldLine, "shard", ""},
		{"a word", fieldLine, "truncated", ""},
		{"absent", fieldLine, "appname", ""},
		{"the first of two", `{"a":"1","a":"2"}`, "a", "1"},
		{"with spaces", " { \"b\" : 1 , \"a\" : \"1\" } ", "a", "1"},
		{"no object", `["a","1"]`, "a", ""},
		{"cut in a key", `{"a`, "a", ""},
		{"cut after a key", `{"a"`, "a", ""},
		{"cut in a value", `{"a":"1`, "a", ""},
		{"cut after an escape", `{"a":"1\"`, "a", ""},
		{"cut in an object", `{"b":{"a":"1"}`, "a", ""},
		{"empty", "", "a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(Field([]byte(tt.line), tt.key)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAppendUnescaped(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain æ", "plain æ"},
		{`\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t"},
		{`a\u00e6b\u2028c`, "aæb\u2028c"},
		{`\ud834\udd1e!`, "𝄞!"},
		{`\ud834!`, "\uFFFD!"},
		{`\ud834\u0041`, "\uFFFDA"},
		{`\udd1e\ud834`, "\uFFFD\uFFFD"},
		{`\x \u12 \u12g4 \`, `\x \u12 \u12g4 \`},
	} {
		if got := string(AppendUnescaped([]byte("x"), []byte(tt.in))); got != "x"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.in, got, "x"+tt.want)
		}
	}
}

// TestFieldOfRecords reads what AppendString and Tail write.
func TestFieldOfRecords(t *testing.T) {
	for c := range 256 {
		text := []byte{'a', byte(c), 'b', byte(c)}
		line := AppendString([]byte(`{"message":`), text)
		tail := NewTail("lab", 3)
		line = tail.Append(line, time.Unix(0, 0), netip.MustParseAddrPort("192.0.2.7:514"), "raw", "", false)
		if got := string(AppendUnescaped(nil, Field(line, "message"))); got != perByte(text) {
			t.Errorf("byte %#x: got %q", c, got)
		}
		if got := string(Field(line, "format")); got != "raw" {
			t.Errorf("byte %#x: format is %q", c, got)
		}
	}
}

func TestFieldAllocatesNothing(t *testing.T) {
	line, dst := []byte(fieldLine), make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		dst = AppendUnescaped(dst[:0], Field(line, "message"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestElements(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "", `["a",1,{"b":[2,"]"]},[3] , null]`: `"a"|1|{"b":[2,"]"]}|[3]|null|`, `["a","b`: `"a"|`, `{"a":1}`: "",
		`[ ]`: "", `[1 2]`: "1|",
	} {
		var got string
		for element := range Elements([]byte(text)) {
			got += string(element) + "|"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzMembers compares Members with encoding/json for each object that is valid JSON, and reads any
// other bytes.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		fieldLine, "{}", ` { "a" : [ 1 , "]" ] , "b":null } `, `{"\u0061":"\ud834\udd1e\ud834"}`, `{"a":1e9}`,
		`{"a":"\\\\\""}`, `{"a":{},"b":[]}`, `{"a"`, `{"a":"`, `{"a":[`, `{"a":}`, `{"a":1]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		type member struct {
			key   string
			value json.RawMessage
		}
		var got []member
		for key, value := range Members(line) {
			got = append(got, member{string(AppendUnescaped(nil, key)), value})
		}
		if !json.Valid(line) || bytes.TrimSpace(line)[0] != '{' {
			return
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.Token()
		for i := 0; d.More(); i++ {
			key, _ := d.Token()
			var want json.RawMessage
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			if i >= len(got) || validText(got[i].key) != key || string(got[i].value) != string(want) {
				t.Fatalf("member %d: got %q, want %q: %s", i, got, key, want)
			}
			var text string
			if want[0] != '"' {
				continue
			}
			if err := json.Unmarshal(want, &text); err != nil {
				t.Fatal(err)
			}
			if decoded := AppendUnescaped(nil, Text(got[i].value)); validText(string(decoded)) != text {
				t.Fatalf("%s: got %q, want %q", want, decoded, text)
			}
		}
	})
}

// validText replaces bytes that are not UTF-8, as encoding/json does.
func validText(s string) string { return strings.ToValidUTF8(perByte([]byte(s)), "\uFFFD") }

func BenchmarkField(b *testing.B) {
	line := []byte(fieldLine)
	b.ReportAllocs()
	for b.Loop() {
		if Field(line, "source") == nil {
			b.Fatal("no source")
		}
	}
}
