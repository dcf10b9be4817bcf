package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each key of the configuration file is in a document.
func TestAllKeysAreDocumented(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range append(files, "../../README.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(page)
	}
	for _, key := range slices.Concat(keyNames(listenerSettings), keyNames(configSettings)) {
		last := key[strings.LastIndex(key, ".")+1:]
		if !regexp.MustCompile("[`.{ ]" + regexp.QuoteMeta(last) + "[^a-z0-9_-]").MatchString(text.String()) {
			t.Errorf("key %s is in no document", key)
		}
	}
}
