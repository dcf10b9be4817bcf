package rdata

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const testOrigin = "\x07example\x00"

// split returns the words and quoted strings of one line of a master file without comments.
func split(line string) []Field {
	var fields []Field
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return fields
		}
		start, quoted := 0, line[0] == '"'
		if quoted {
			start = 1
		}
		inside := quoted
		end := start
		for ; end < len(line); end++ {
			switch c := line[end]; {
			case c == '\\':
				end++
			case c == '"' && quoted:
				inside = false
			case c == '"':
				inside = !inside
			case c == ' ' || c == '\t':
				if inside {
					continue
				}
			default:
				continue
			}
			if end < len(line) && (quoted && !inside || !quoted && !inside && (line[end] == ' ' || line[end] == '\t')) {
				break
			}
		}
		end = min(end, len(line))
		fields = append(fields, Field{line[start:end], quoted})
		line = line[min(len(line), end+start):]
	}
}

// parseText parses the data of a type, all on one line.
func parseText(text string) (uint16, []byte, error) {
	name, data, _ := strings.Cut(text, " ")
	rtype, ok := Type(name)
	if !ok {
		return 0, nil, fmt.Errorf("no type: %s", name)
	}
	wire, err := Parse(rtype, split(data), testOrigin)
	return rtype, wire, err
}

// checkRoundTrip checks that data is read back from its own text, and from its text of RFC 3597.
func checkRoundTrip(t *testing.T, rtype uint16, data []byte) {
	t.Helper()
	if err := Check(rtype, data); err != nil {
		t.Errorf("%s %x: %v", TypeName(rtype), data, err)
	}
	for _, text := range []string{string(AppendText(nil, rtype, data)), string(appendGeneric(nil, data))} {
		again, err := Parse(rtype, split(text), "")
		if err != nil || !slices.Equal(again, data) {
			t.Errorf("%s %x is written as %q, and read as %x: %v", TypeName(rtype), data, text, again, err)
		}
	}
}
