package sys

import (
	"os"
	"testing"
)

func TestDuplicate(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	duplicate, err := DuplicateFile(w, "duplicate")
	if err != nil {
		t.Fatal(err)
	}
	defer duplicate.Close()
	w.Close()
	if _, err := duplicate.WriteString("x"); err != nil || duplicate.Name() != "duplicate" {
		t.Errorf("%s: %v", duplicate.Name(), err)
	}
	if _, err := DuplicateFile(w, "closed"); err == nil {
		t.Error("no error for a closed file")
	}
	if _, err := Duplicate(-1); err == nil {
		t.Error("no error for descriptor -1")
	}
	if _, err := Descriptors(w); err == nil {
		t.Error("no error for a closed file")
	}
}
