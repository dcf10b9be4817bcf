package ship

import (
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
