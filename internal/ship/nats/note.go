package nats

import (
	"slices"
	"strconv"
	"strings"
)

// note returns the note of the batch with the sequence numbers of its acknowledged messages. A note
// is STREAM=NUMBER, separated by spaces if several streams take the subject: the stream has no
// message of a record that is not acknowledged up to this number. Streams that do not take the
// subject any more are left out.
func (p *publication) note() string {
	sequences := parseNote(p.batch.Note)
	for _, m := range p.messages {
		if !m.done {
			break
		}
		if m.stream != "" {
			sequences[m.stream] = m.sequence
		}
	}
	var parts []string
	for stream, sequence := range sequences {
		if slices.Contains(p.streams, stream) {
			parts = append(parts, stream+"="+strconv.FormatUint(sequence, 10))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// parseNote returns the sequence number for each stream of a note. Other texts are ignored.
func parseNote(note string) map[string]uint64 {
	sequences := make(map[string]uint64)
	for part := range strings.FieldsSeq(note) {
		i := strings.LastIndexByte(part, '=')
		if i < 0 {
			continue
		}
		if sequence, err := strconv.ParseUint(part[i+1:], 10, 64); err == nil {
			sequences[part[:i]] = sequence
		}
	}
	return sequences
}
