package nats

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// secretFile returns a reference to a file with a secret, and the file.
func secretFile(t *testing.T, secret string) (reference, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "${file:" + path + "}", path
}

// newKey returns the seed and the public key of a new user.
func newKey(t *testing.T) (seed, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), public
}

// Each kind of user is let in with the right secret. With another secret the error is permanent,
// and has no secret; the right secret in the same file is used by the next connection.
func TestUsers(t *testing.T) {
	seed, public := newKey(t)
	otherSeed, _ := newKey(t)
	for _, c := range []struct {
		option, right, wrong string
		more                 []string
		config               string
		client               nats.Option
	}{
		{"password", "SECRET1", "SECRET2", []string{"user", "u"},
			"authorization { user: u, password: SECRET1 }", nats.UserInfo("u", "SECRET1")},
		{"token", "SECRET1", "SECRET2", nil, "authorization { token: SECRET1 }", nats.Token("SECRET1")},
		{"nkey", seed, otherSeed, nil, "authorization { users: [ { nkey: " + public + " } ] }", nil},
	} {
		s := start(t, c.config)
		reference, path := secretFile(t, c.wrong)
		n := open(t, "nats://"+s.address+"/logs", append(c.more, c.option, reference, "create_stream", "true")...)
		b := shiptest.Numbered(0, 3)
		text, forever := permanent(n.Send(t.Context(), b))
		if !strings.Contains(text, "Authorization Violation") || !forever {
			t.Errorf("%s: %s (%v)", c.option, text, forever)
		}
		if strings.Contains(text, c.wrong) || strings.Contains(text, "SECRET") {
			t.Errorf("%s: the error has the secret: %s", c.option, text)
		}
		if err := os.WriteFile(path, []byte(c.right), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Send(t.Context(), b); err != nil {
			t.Errorf("%s: %v", c.option, err)
		}
		if c.client != nil {
			wantNumbered(t, lines(s.content("LOGS", c.client)), 3)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		n.disconnect()
		if text, _ := permanent(n.Send(t.Context(), b)); !strings.Contains(text, path) {
			t.Errorf("%s: without file: %s", c.option, text)
		}
	}
}

// A seed that is none is not in the error.
func TestBadSeed(t *testing.T) {
	reference, _ := secretFile(t, "SUSECRETSECRET")
	n := open(t, "nats://127.0.0.1:1/logs", "nkey", reference)
	text, _ := permanent(n.Send(t.Context(), shiptest.Numbered(0, 1)))
	if !strings.HasPrefix(text, "option nkey: ") || strings.Contains(text, "SECRET") {
		t.Error(text)
	}
}

// claims returns a JSON Web Token of NATS (jwt version 2), which an issuer signs.
func claims(t *testing.T, issuer nkeys.KeyPair, subject, kind, more string) string {
	t.Helper()
	public, err := issuer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(fmt.Appendf(nil,
		`{"jti":"1","iat":1700000000,"iss":"%s","sub":"%s","name":"%s","nats":{%s"type":"%s","version":2}}`,
		public, subject, kind, more, kind))
	signature, err := issuer.Sign([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

// A user of an account of an operator has a file of credentials.
func TestCredentials(t *testing.T) {
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	system, _ := nkeys.CreateAccount()
	operatorID, _ := operator.PublicKey()
	accountID, _ := account.PublicKey()
	systemID, err := system.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	const limits = `"subs":-1,"data":-1,"payload":-1,`
	const accountLimits = `"limits":{` + limits + `"imports":-1,"exports":-1,"wildcards":true,"conn":-1,` +
		`"leaf":-1,"mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1},`
	s := start(t, "operator: "+claims(t, operator, operatorID, "operator", ""), "system_account: "+systemID,
		"resolver: MEMORY", "resolver_preload: {", accountID+": "+claims(t, operator, accountID, "account", accountLimits),
		systemID+": "+claims(t, operator, systemID, "account", ""), "}")
	path := filepath.Join(t.TempDir(), "user.creds")
	write := func(issuer nkeys.KeyPair) (seed string) {
		t.Helper()
		seed, public := newKey(t)
		credentials := "-----BEGIN NATS USER JWT-----\n" + claims(t, issuer, public, "user", limits) +
			"\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + seed +
			"\n------END USER NKEY SEED------\n"
		if err := os.WriteFile(path, []byte(credentials), 0o600); err != nil {
			t.Fatal(err)
		}
		return seed
	}
	n := open(t, "nats://"+s.address+"/logs", "credentials", path, "create_stream", "true")
	b := shiptest.Numbered(0, 3)
	if text, _ := permanent(n.Send(t.Context(), b)); !strings.Contains(text, path) {
		t.Errorf("without file: %s", text)
	}
	seed := write(operator)
	text, forever := permanent(n.Send(t.Context(), b))
	if !strings.Contains(text, "Authorization Violation") || !forever || strings.Contains(text, seed) {
		t.Errorf("wrong issuer: %s (%v)", text, forever)
	}
	write(account)
	if err := n.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantNumbered(t, lines(s.content("LOGS", nats.UserCredentials(path))), 3)
}

// The user may publish, and not ask for streams; or ask, and not publish.
func TestPermissions(t *testing.T) {
	for denied, want := range map[string]string{
		"$JS.API.STREAM.NAMES": "STREAM.NAMES",
		"logs":                 `Permissions Violation for Publish to "logs"`,
	} {
		s := start(t, fmt.Sprintf("authorization { users: [ { user: u, password: p, permissions: "+
			"{ publish: { deny: [ '%s' ] } } } ] }", denied))
		if denied != "logs" {
			s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}}, nats.UserInfo("u", "p"))
		}
		n := open(t, "nats://"+s.address+"/logs", "user", "u", "password", "p", "create_stream", "true")
		text, forever := permanent(n.Send(t.Context(), shiptest.Numbered(0, 3)))
		if !strings.Contains(text, want) || !forever {
			t.Errorf("%s denied: %s (%v)", denied, text, forever)
		}
	}
}
