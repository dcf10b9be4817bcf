package syslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkProperties checks the properties of every datagram.
func checkProperties(t *testing.T, d *Decoder, text []byte, receivedAt time.Time) {
	t.Helper()
	sent := bytes.Clone(text)
	var m Message
	d.Decode(&m, text, receivedAt)
	out := append(m.AppendJSON(nil), '}')

	checkJSON(t, out)
	checkMembers(t, &m, out)
	checkLossless(t, &m, text)

	if !bytes.Equal(text, sent) {
		t.Errorf("%q: the datagram was written to", sent)
	}
	if again := append(m.AppendJSON(nil), '}'); !bytes.Equal(again, out) {
		t.Errorf("%q: encoded again: %s, first: %s", text, again, out)
	}
	d.Decode(&m, []byte(`<1>1 - - - - - [a b="c" b="d"] x`), receivedAt) // leaves data of another message in the Decoder
	d.Decode(&m, text, receivedAt)
	if again := append(m.AppendJSON(nil), '}'); !bytes.Equal(again, out) {
		t.Errorf("%q: decoded again: %s, first: %s", text, again, out)
	}
}

// checkJSON checks that out is a JSON object without duplicate keys in any object, and that the
// members are in the documented order.
func checkJSON(t *testing.T, out []byte) {
	t.Helper()
	order := []string{"timestamp", "hostname", "appname", "procid", "msgid", "facility", "severity", "structured_data", "message"}
	type object struct {
		keys map[string]bool
		key  bool // the next token is a key
	}
	var open []*object
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		top := &object{}
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		switch token {
		case json.Delim('{'):
			top.key = true
			open = append(open, &object{keys: map[string]bool{}, key: true})
			continue
		case json.Delim('['):
			open = append(open, &object{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			if len(open) > 0 && open[len(open)-1].keys != nil {
				open[len(open)-1].key = true
			}
			continue
		}
		if top.keys == nil {
			continue
		}
		if !top.key {
			top.key = true
			continue
		}
		key := token.(string)
		if top.keys[key] {
			t.Fatalf("%s: two members %q", out, key)
		}
		top.keys[key], top.key = true, false
		if len(open) == 1 {
			at := slices.Index(order, key)
			if at < 0 {
				t.Fatalf("%s: %q is no member, or not in its place", out, key)
			}
			order = order[at+1:]
		}
	}
	if !json.Valid(out) || !bytes.HasPrefix(out, []byte("{")) {
		t.Fatalf("not an object: %s", out)
	}
}

// checkMembers compares the members with the fields.
func checkMembers(t *testing.T, m *Message, out []byte) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	want := map[string]any{}
	for key, value := range map[string][]byte{
		"timestamp": m.Timestamp, "hostname": m.Hostname, "appname": m.AppName, "procid": m.ProcID, "msgid": m.MsgID,
		"facility": []byte(m.Facility()), "severity": []byte(m.Severity()),
		"message": slices.Concat(m.Prefix[0], m.Prefix[1], m.Text),
	} {
		if len(value) > 0 {
			want[key] = perByte(value)
		}
	}
	if len(m.StructuredData) > 0 {
		elements := map[string]any{}
		for _, e := range m.StructuredData {
			params, count := map[string]any{}, map[string]int{}
			for _, p := range e.Params {
				count[string(p.Name)]++
			}
			for _, p := range e.Params {
				if name := string(p.Name); count[name] == 1 {
					params[name] = unescapedValue(&p)
				} else {
					values, _ := params[name].([]any)
					params[name] = append(values, unescapedValue(&p))
				}
			}
			elements[string(e.ID)] = params
		}
		want["structured_data"] = elements
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) { // maps are printed in order
		t.Fatalf("%s\n got %q\nwant %q", out, got, want)
	}
	if s := string(m.Timestamp); s != "" {
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			t.Errorf("timestamp: %v", err)
		}
	}
}

// unescapedValue returns a PARAM-VALUE without escapes.
func unescapedValue(p *Param) string { return perByte(escapes.ReplaceAll(p.Value, []byte("$1"))) }

var escapes = regexp.MustCompile(`\\(["\\\]])`)

// perByte returns s with U+FFFD for each byte that is not UTF-8.
func perByte(s []byte) string {
	var b strings.Builder
	for _, r := range string(s) {
		b.WriteRune(r)
	}
	return b.String()
}

// The text that is allowed between the parts of a datagram that are in the record.
const (
	zonePattern  = `( ([A-Z]{1,5}|[+-][0-9]{2}(:?[0-9]{2})?)( [0-9]{4}| ?:)?)?`
	timePattern  = `[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?( [AaPp][Mm](\.[0-9]{1,9})?)?`
	stampPattern = `[*.]?(` +
		`([0-9]{4} )?[A-Z][A-Za-z]{2} [ 0-9]?[0-9]( [0-9]{4})? ` + timePattern + `( [0-9]{4})?` + zonePattern + `|` +
		`[0-9]{4}:[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}:[0-9]{2}` + zonePattern + `|` +
		`[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]` + timePattern + `([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?` + zonePattern + `)`
	priPattern = `<(0|[1-9][0-9]{0,2})>`
)

var (
	minutes     = regexp.MustCompile(`[0-9]:[0-9]`)
	endPattern  = regexp.MustCompile(`(\r?\n|\x00)+\z`)
	gapPatterns = map[Format]*regexp.Regexp{
		RFC5424:  regexp.MustCompile(`\A(` + priPattern + `1 )?[-\[\]=" ]*\x{FEFF}?\z`),
		RFC3164:  regexp.MustCompile(`\A(` + priPattern + `)?[ :*.]*(` + stampPattern + `)?( *Message forwarded from )?[ \t:\[\]]*\z`),
		Unparsed: regexp.MustCompile(`\A(` + priPattern + `)?\z`),
	}
)

// checkLossless checks that each byte of the datagram is in a field, in the message, or in a
// separator of the grammar, and that the parts are in the order of the datagram.
func checkLossless(t *testing.T, m *Message, text []byte) {
	t.Helper()
	text = text[:len(text)-len(endPattern.Find(text))]

	type span struct{ start, end int }
	var spans []span
	add := func(view []byte) {
		if len(view) == 0 {
			return
		}
		// A view's capacity ends where the datagram's does.
		start := cap(text) - cap(view)
		if start < 0 || start+len(view) > len(text) || &text[start] != &view[0] {
			return // a rendered timestamp
		}
		spans = append(spans, span{start, start + len(view)})
	}
	for _, view := range [][]byte{m.Timestamp, m.Hostname, m.AppName, m.ProcID, m.MsgID, m.Prefix[0], m.Prefix[1], m.Text} {
		add(view)
	}
	for _, e := range m.StructuredData {
		add(e.ID)
		for _, p := range e.Params {
			add(p.Name)
			add(p.Value)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })

	gap := func(start, end int) {
		lost := text[start:end]
		if !gapPatterns[m.Format].Match(lost) {
			t.Errorf("%q (%s): %q is lost", text, m.Format, lost)
		}
		if m.Timestamp == nil && m.Format == RFC3164 && minutes.Match(lost) {
			t.Errorf("%q: %q is cut, and there is no timestamp", text, lost)
		}
	}
	end := 0
	for _, s := range spans {
		if s.start >= end {
			gap(end, s.start)
		}
		end = max(end, s.end)
	}
	gap(end, len(text))
	if n := len(m.Text); n > 0 && !bytes.HasSuffix(text, m.Text) {
		t.Errorf("%q: the message %q is not the end", text, m.Text)
	}
}

func TestProperties(t *testing.T) {
	d := Decoder{Location: time.UTC}
	for _, s := range samples() {
		t.Run(s.from, func(t *testing.T) {
			checkProperties(t, &d, []byte(s.in), receivedAt)
			for cut := range len(s.in) { // as cut by a short MaxDatagram
				checkProperties(t, &d, []byte(s.in[:cut]), receivedAt)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.in), receivedAt.Unix())
	}
	decoders := []*Decoder{
		{Location: time.UTC}, {Location: location(f, "Europe/Berlin")}, {Location: location(f, "America/St_Johns")},
	}
	f.Fuzz(func(t *testing.T, text []byte, received int64) {
		for _, d := range decoders {
			checkProperties(t, d, text, time.Unix(received, 0))
		}
	})
}
