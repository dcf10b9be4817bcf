package udpshard_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxHiddenSubjects is the largest part of the words of a package's comments, tests included, that
// may be pronouns and indefinite words. Such words hide what a sentence is about. The comments of
// Go's package net have 3.8%, those of wireguard-go 4.5%.
const maxHiddenSubjects = 0.08

var (
	hiddenSubject = regexp.MustCompile(`^(it|its|that|those|this|these|one|ones|other|others|another|` +
		`who|whoever|whom|what|whatever|which|nobody|somebody|anybody|everybody|there)$`)
	commentLine = regexp.MustCompile(`^\s*//\s?(.*)|\s//\s(.*)`)
	word        = regexp.MustCompile(`[a-z']+`)
)

// The comments of each package name their subjects.
func TestCommentsNameTheirSubjects(t *testing.T) {
	type count struct{ hidden, words int }
	counts := make(map[string]count)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		folder := path.Dir(filepath.ToSlash(name))
		c := counts[folder]
		for line := range strings.Lines(string(text)) {
			found := commentLine.FindStringSubmatch(line)
			if found == nil || strings.HasPrefix(found[1], "go:") {
				continue
			}
			for _, w := range word.FindAllString(strings.ToLower(found[1]+found[2]), -1) {
				c.words++
				if hiddenSubject.MatchString(w) {
					c.hidden++
				}
			}
		}
		counts[folder] = c
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const fewWords = 200 // of which a part says nothing
	for folder, c := range counts {
		if part := float64(c.hidden) / float64(c.words); c.words > fewWords && part > maxHiddenSubjects {
			t.Errorf("%s: %.1f%% of the words of comments are pronouns and indefinite words, at most %.0f%%",
				folder, 100*part, 100*maxHiddenSubjects)
		}
	}
}
