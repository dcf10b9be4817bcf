package targets

import (
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// No error of a constructor has a secret, whatever else is wrong.
func TestErrorsHaveNoSecrets(t *testing.T) {
	for _, scheme := range append(Schemes, "unknown") {
		refused := 0
		for _, address := range []string{"h", "h:1", "h:1/x", "h:1,i:2/x", "h:1/x/y?z"} {
			for _, options := range []string{"password=SECRET", "token=SECRET", "nkey=SECRET", "nkey=SUSECRET",
				"user=u&password=SECRET", "user=u&password=SECRET&token=SECRET&nkey=SECRET",
				"user=u&password=SECRET&sasl=x&per=x&format=x&framing=x", "token=${file:/no/such/file}&x=y"} {
				s, err := Parse(scheme + "://" + address + "#" + options)
				if err != nil {
					t.Fatal(err)
				}
				target, err := New(s)
				if err == nil {
					target.Close()
					continue
				}
				refused++
				if strings.Contains(err.Error()+cli.Hint(err), "SECRET") {
					t.Errorf("%s: %v, hint %s", Text(s), err, cli.Hint(err))
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: no error", scheme)
		}
	}
}

// A wrong scheme has a hint with the probable URL.
func TestUnknownScheme(t *testing.T) {
	for text, want := range map[string]string{
		"kafak://u:p@h:1/x": "did you mean kafka://h:1/x?",
		"relptls://h:1":     "did you mean relp+tls://h:1?",
		"gopher://h:1":      "",
	} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = New(s); err == nil || cli.Hint(err) != want || !strings.Contains(err.Error(), "unknown scheme: use one of ") {
			t.Errorf("%s: %v, hint %q, want %q", text, err, cli.Hint(err), want)
		}
	}
}
