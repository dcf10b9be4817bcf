package dnsservice

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/packet/dns/cookie"
)

const day = 24 * time.Hour

// secretsStart is a time at which no test's secret is due.
var secretsStart = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

var cookieClient = netip.MustParseAddr("192.0.2.1")

// givenCookie returns a new cookie at a time.
func givenCookie(s *CookieSecrets, now time.Time) []byte {
	given, _ := s.Keys.Answer(nil, []byte("8 bytes."), cookieClient, now)
	return given
}

// accepts reports whether a cookie is good. The time is that of the cookie: only the secret counts.
func accepts(s *CookieSecrets, given []byte, issued time.Time) bool {
	_, status := s.Keys.Answer(nil, given, cookieClient, issued)
	return status == cookie.Good
}

func loadedSecrets(path string, now time.Time) *CookieSecrets {
	s := NewCookieSecrets(nil, day, path)
	s.Load(nil, now, zerolog.Nop())
	return s
}

// A secret makes cookies for a period, and is accepted for another.
func TestSecretsRotate(t *testing.T) {
	s, log := loadedSecrets("", secretsStart), zerolog.Nop()
	given := givenCookie(s, secretsStart)
	for _, step := range []struct {
		after            time.Duration
		changed, accepts bool
	}{
		{0, false, true}, {day - time.Second, false, true}, {day, true, true}, {2*day - time.Second, false, true}, {2 * day, true, false},
	} {
		before := s.State().Secret
		if s.isDue(secretsStart.Add(step.after)) {
			s.keep(secretsStart.Add(step.after), log)
		}
		if changed := s.State().Secret != before; changed != step.changed || accepts(s, given, secretsStart) != step.accepts {
			t.Errorf("%v after: changed is %t, accepts %t", step.after, changed, !step.accepts)
		}
	}
}

// While nobody runs, both secrets get older. A time from the future does not keep a secret.
func TestSecretsOfAnotherTime(t *testing.T) {
	for _, test := range []struct {
		after         time.Duration
		keeps, former bool
	}{
		{time.Hour, true, true}, {day, false, true}, {2*day - 1, false, true}, {2 * day, false, false},
		{-maxAhead, true, true}, {-maxAhead - time.Second, false, true}, {-40 * day, false, true},
	} {
		first := loadedSecrets("", secretsStart)
		given := givenCookie(first, secretsStart)
		next := NewCookieSecrets(nil, day, "")
		now := secretsStart.Add(test.after)
		next.Load(first.State(), now, zerolog.Nop())
		if keeps := next.State().Secret == first.State().Secret; keeps != test.keeps || accepts(next, given, secretsStart) != test.former {
			t.Errorf("%v after: keeps the secret: %t, want %t; accepts it: %t, want %t", test.after, keeps, test.keeps, !test.former, test.former)
		}
		if next.isDue(now) {
			t.Errorf("%v after: due again", test.after)
		}
	}
}

// Secrets outlive a restart in a file that only the user can read. A standby has the secrets of its
// start, and takes those of the file.
func TestSecretsOutliveProcess(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "secrets"), zerolog.Nop()
	first := loadedSecrets(path, secretsStart)
	if _, err := os.Stat(path); err == nil {
		t.Error("Load has written the file")
	}
	standby := NewCookieSecrets(nil, day, path)
	standby.Load(first.State(), secretsStart, log)
	first.keep(secretsStart, log)
	given := givenCookie(first, secretsStart)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, %v", info, err)
	}
	if second := loadedSecrets(path, secretsStart.Add(time.Hour)); !second.State().equal(*first.State()) || !accepts(second, given, secretsStart) {
		t.Errorf("after a restart: %+v", second.State().Created)
	}
	first.keep(secretsStart.Add(day), log)
	first.keep(secretsStart.Add(2*day), log)
	standby.keep(secretsStart.Add(2*day), log)
	if !standby.State().equal(*first.State()) || standby.State().Former == "" {
		t.Error("the standby has other secrets than the active process before it")
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("files %v, %v", names, err)
	}
}

// Run writes the file at the start, and rotates. The bubble's clock makes the day pass.
func TestSecretsRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	synctest.Test(t, func(t *testing.T) {
		s := loadedSecrets(path, time.Now())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx, zerolog.Nop()) }()
		secret := s.State().Secret
		time.Sleep(day + 2*rotationCheck)
		stop()
		<-ended
		state := s.State()
		if state.Secret == secret || state.Former != secret {
			t.Error("the secret has not rotated")
		}
		if filed, err := readState(path); err != nil || !filed.equal(*state) {
			t.Errorf("the file has not the secrets in force: %v", err)
		}
	})
}

// A damaged file is named, without its content, and replaced. Without the folder there is no file.
func TestSecretsFileUnusable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secrets")
	for _, text := range []string{"", "{", `{"secret":"e5e973e5a6b2a43f48e7dc849e37bf"}`, `{"secret":5973573562443480}`, `{"secret":"e5e973e5a6b2a43f48e7dc849e37bfcf","former":"x597"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := NewCookieSecrets(nil, day, path)
		s.Load(nil, secretsStart, zerolog.New(&log))
		if got := log.String(); !strings.Contains(got, path) || !strings.Contains(got, "cookie secrets unreadable") || strings.Contains(got, "597") {
			t.Errorf("%s: log %s", text, got)
		}
		s.keep(secretsStart, zerolog.Nop())
		if filed, err := readState(path); err != nil || !filed.equal(*s.State()) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var log bytes.Buffer
	s := NewCookieSecrets(nil, day, filepath.Join(dir, "none", "secrets"))
	s.Load(nil, secretsStart, zerolog.New(&log))
	s.keep(secretsStart, zerolog.New(&log))
	if log.Len() > 0 || s.State().Secret == "" {
		t.Errorf("without a folder: %+v, log %s", s.State().Created, log.String())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	s = NewCookieSecrets(nil, day, path)
	s.keep(secretsStart, zerolog.New(&log))
	if !strings.Contains(log.String(), "cookie secrets not saved") {
		t.Errorf("a folder in the place of the file: log %s", log.String())
	}
}

// Secrets of the configuration stay: they neither rotate nor pass to the next process.
func TestConfiguredSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	one, two, three := cookie.NewSecret(), cookie.NewSecret(), cookie.NewSecret()
	s, log := NewCookieSecrets([]cookie.Secret{one, two}, day, path), zerolog.Nop()
	other := loadedSecrets("", secretsStart)
	s.Load(other.State(), secretsStart, log)
	s.keep(secretsStart.Add(40*day), log)
	if s.isDue(secretsStart.Add(80*day)) || s.State() != nil {
		t.Errorf("due, or state %v", s.State())
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the secrets are in a file")
	}
	check := func(want ...bool) {
		t.Helper()
		for i, secret := range []cookie.Secret{one, two, three} {
			given, _ := cookie.NewKeys(secret).Answer(nil, []byte("8 bytes."), cookieClient, secretsStart)
			if got := accepts(s, given, secretsStart); got != want[i] {
				t.Errorf("secret %d: accepted is %t", i, got)
			}
		}
	}
	check(true, true, false)
	made := givenCookie(s, secretsStart)
	if _, status := cookie.NewKeys(one).Answer(nil, made, cookieClient, secretsStart); status != cookie.Good {
		t.Errorf("the first secret does not make the cookies: %d", status)
	}
	s.Configure([]cookie.Secret{three})
	check(false, false, true)
}
