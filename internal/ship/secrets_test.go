package ship

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("\n p$ \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("UDPSHARD_TEST_SECRET", " e ")
	const env = "${env:UDPSHARD_TEST_SECRET}"
	for _, c := range []struct {
		text, want string
		err        string // of Value
		literal    bool
		syntax     bool // CheckSecrets has an error
	}{
		{text: ""},
		{text: "a$b}", want: "a$b}", literal: true},
		{text: env, want: " e "},
		{text: "${file:" + path + "}", want: "p$"},
		{text: env + "${file:" + path + "}", want: " e p$"},
		{text: "a" + env, want: "a e ", literal: true},
		{text: env + "a", want: " e a", literal: true},
		{text: "${env:UDPSHARD_TEST_NO_SECRET}", err: "option token: environment variable UDPSHARD_TEST_NO_SECRET is not set"},
		{text: "${file:" + path + ".no}", err: "no such file"},
		{text: "${SECRET}", err: "${ must begin", syntax: true},
		{text: "${env:}", err: "${ must begin", syntax: true},
		{text: "${env:SECRET", err: "${ must begin", syntax: true},
	} {
		s := &Settings{Options: map[string]string{"token": c.text}}
		got, err := s.Value("token")
		if got != c.want || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v", c.text, got, err)
		}
		if literal := slices.Equal(s.LiteralSecrets(), []string{"token"}); literal != c.literal {
			t.Errorf("%s: literal %t", c.text, literal)
		}
		if err := s.CheckSecrets(); (err != nil) != c.syntax || err != nil && strings.Contains(err.Error(), ":SECRET") {
			t.Errorf("%s: CheckSecrets: %v", c.text, err)
		}
	}
}

// Header fields may have secrets: all are hidden, and some must be references on the command line.
func TestSecretHeaders(t *testing.T) {
	s := &Settings{Options: map[string]string{"header.X-API-Key": "SECRET1", "header.X-Scope": "SECRET2", "user": "u"}}
	if got := s.LiteralSecrets(); !slices.Equal(got, []string{"header.X-API-Key"}) {
		t.Errorf("literal: %q", got)
	}
	if got := s.Redact(errors.New("SECRET1 SECRET2 u")).Error(); got != "*** *** u" {
		t.Error(got)
	}
	s.Options["header.X-Scope"] = "${SECRET}"
	if err := s.CheckSecrets(); err == nil || !strings.Contains(err.Error(), "option header.X-Scope") {
		t.Error(err)
	}
	for key, want := range map[string]bool{"token": true, "header.A": true, "user": false, "headers": false} {
		if IsSecret(key) != want {
			t.Errorf("%s: %t", key, !want)
		}
	}
}
