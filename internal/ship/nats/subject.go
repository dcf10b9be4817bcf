package nats

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// subject is the subject of messages, with placeholders.
type subject struct {
	parts   []part
	pattern string // for all subjects: * stands for each token that has a placeholder
	records bool   // a placeholder is for a member of the record
}

// part is a text or a placeholder.
type part struct{ text, placeholder string }

// The placeholders.
var (
	batchPlaceholders  = []string{"listener", "shard"}
	recordPlaceholders = []string{"facility", "severity"}
	placeholders       = slices.Concat(batchPlaceholders, recordPlaceholders)
)

// parseSubject returns the subject that the path of the URL is.
func parseSubject(s *ship.Settings, perBatch bool) (subject, error) {
	const example = "nats://127.0.0.1:4222/logs.{listener}"
	text := strings.TrimPrefix(s.URL.Path, "/")
	if text == "" {
		return subject{}, cli.WithHint(fmt.Errorf("%s: the URL has no subject", s.Name()), example)
	}
	var j subject
	pattern, rest := "", text
	for rest != "" {
		before, after, found := strings.Cut(rest, "{")
		j.parts, pattern = append(j.parts, part{text: before}), pattern+before
		if !found {
			break
		}
		name, after, ended := strings.Cut(after, "}")
		if !ended || !slices.Contains(placeholders, name) {
			err := fmt.Errorf("subject %s: unknown placeholder {%s", text, name)
			return j, cli.WithHint(err, "the placeholders are {"+strings.Join(placeholders, "}, {")+"}")
		}
		j.parts, pattern = append(j.parts, part{placeholder: name}), pattern+"\x00"
		if slices.Contains(recordPlaceholders, name) {
			j.records = true
		}
		rest = after
	}
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		isOther := func(c rune) bool { return c > 0 && !isTokenRune(c) }
		if token == "" || strings.ContainsFunc(token, isOther) {
			err := fmt.Errorf("subject %s: a subject is words with dots between, without spaces, "+
				"* > / and $", text)
			return j, cli.WithHint(err, example)
		}
		if strings.Contains(token, "\x00") {
			tokens[i] = "*"
		}
	}
	j.pattern = strings.Join(tokens, ".")
	switch {
	case j.records && perBatch:
		return j, fmt.Errorf("subject %s: a message of many records has no facility and severity: "+
			"use per=record", text)
	case j.records && s.Format != ship.JSON:
		return j, fmt.Errorf("subject %s: records in the format %s have no facility and severity: "+
			"use the format json", text, s.Format)
	}
	return j, nil
}

// isTokenRune reports whether a token of a subject may have c (NATS documentation, Subject-Based
// Messaging). $ begins subjects of the server.
func isTokenRune(c rune) bool { return c > ' ' && c != 0x7f && !strings.ContainsRune(".*>/${}", c) }

// append appends the subject of a record.
func (j *subject) append(to []byte, b *ship.Batch, line []byte) []byte {
	for _, p := range j.parts {
		switch p.placeholder {
		case "":
			to = append(to, p.text...)
		case "listener":
			to = appendToken(to, b.Listener)
		case "shard":
			to = strconv.AppendInt(to, int64(b.Shard), 10)
		default:
			to = appendToken(to, string(record.Field(line, p.placeholder)))
		}
	}
	return to
}

// appendToken appends a value as one token: _ stands for runes that a token can't have, and none
// for an empty value.
func appendToken(to []byte, value string) []byte {
	if value == "" {
		return append(to, "none"...)
	}
	for _, c := range value {
		if !isTokenRune(c) {
			c = '_'
		}
		to = append(to, string(c)...)
	}
	return to
}

// maxSubjects bounds the memory of subjectOf. Syslog has 24 facilities and 8 severities: 192
// subjects of one listener and shard.
const maxSubjects = 1024

// subjectOf returns the subject of a record.
func (t *target) subjectOf(b *ship.Batch, line []byte) string {
	var buffer [128]byte
	text := t.subject.append(buffer[:0], b, line)
	known, found := t.subjects[string(text)]
	if !found {
		if len(t.subjects) >= maxSubjects {
			clear(t.subjects)
		}
		known = string(text)
		t.subjects[known] = known
	}
	return known
}
