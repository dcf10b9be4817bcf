package arena

import (
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	var l List[int]
	const n = 3*chunkLen + 1
	for i := range n {
		if at := l.Add(i); at != uint32(i) {
			t.Fatalf("index %d, want %d", at, i)
		}
	}
	for i := range n {
		if *l.At(uint32(i)) != i {
			t.Fatalf("element %d is %d", i, *l.At(uint32(i)))
		}
	}
	if l.Len() != n {
		t.Errorf("length %d", l.Len())
	}
}

// Strings of all lengths, at the ends of chunks too, stay as they are.
func TestText(t *testing.T) {
	var text Text
	var offsets []uint32
	word := strings.Repeat("0123456789", 6554)[:65535]
	for i := range 200 {
		offsets = append(offsets, text.Add(word[i:len(word)-i]), text.Add(""), text.Add(word[:i]))
	}
	for i := range 200 {
		a, b, c := text.Get(offsets[3*i], len(word)-2*i), text.Get(offsets[3*i+1], 0), text.Get(offsets[3*i+2], i)
		if a != word[i:len(word)-i] || b != "" || c != word[:i] {
			t.Fatalf("strings %d differ", i)
		}
	}
	if text.IsFull() {
		t.Error("full")
	}
	text.chunks = make([]*strings.Builder, maxTextChunks+1)
	if !text.IsFull() {
		t.Error("not full")
	}
}
