package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

func TestSecretFile(t *testing.T) {
	const one, two = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536BCD2513298075A5D379663C962"
	path := filepath.Join(t.TempDir(), "secrets")
	for _, c := range []struct {
		text string
		n    int
		want string // of the error, after the path
	}{
		{one, 1, ""},
		{one + "\n" + two + "\n", 2, ""},
		{"\n " + one + "\r\n\n" + two, 2, ""},
		{"", 0, ": has 0 secrets, not one or two"},
		{one + "\n" + two + "\n" + one, 0, ": has 3 secrets, not one or two"},
		{one + "\n\n" + two[1:], 0, ":3: a cookie secret has 32 hexadecimal digits, not 31 characters"},
		{one + " " + two, 0, ":1: a cookie secret has 32 hexadecimal digits, not 65 characters"},
		{strings.Repeat("\n", 5000) + one, 0, ": more than 4096 bytes"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := parsed("--protocol", "dns", "--cookie-secret-file", path)
		switch {
		case c.want == "" && (err != nil || len(got.CookieSecrets) != c.n || got.CookieSecrets[0][0] != 0xe5):
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), path+c.want) || !strings.Contains(cli.Hint(err), "openssl rand -hex 16")):
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

// The file of secrets that rotate is in the state folder, if there are such secrets.
func TestCookieState(t *testing.T) {
	for _, c := range []struct{ service, user, home, want string }{
		{"/s:/t", "/u", "/h", "/s/cookie-secrets"},
		{"", "/u", "/h", "/u/udpshard-cookie-secrets"},
		{"", "", "/h", "/h/.local/state/udpshard-cookie-secrets"},
		{"", "", "", ""},
	} {
		t.Setenv(stateVariable, c.service)
		t.Setenv("XDG_STATE_HOME", c.user)
		t.Setenv("HOME", c.home)
		for want, args := range map[string][]string{
			c.want: {"--protocol", "dns", "--cookie-rotate", "2h"},
			"":     {"--protocol", "dns", "--cookies=false"},
		} {
			if got, err := parsed(args...); err != nil || got.CookieState() != want {
				t.Errorf("%+v: %v: %q, %v", c, args, got.CookieState(), err)
			}
		}
	}
}
