package dnsservice

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/packet/dns/cookie"
)

// SecretState is the secrets of DNS cookies for the next process: in the notes of a handover, and in
// a file. The secrets are hexadecimal. The zero SecretState is older than each other.
type SecretState struct {
	Secret  string    `json:"secret"`           // makes cookies
	Former  string    `json:"former,omitempty"` // is accepted too; "": none
	Created time.Time `json:"created"`          // when Secret was made
}

// CookieSecrets are the secrets of the DNS cookies of a process. Secrets of the configuration stay.
// Other secrets are random, and rotate: a new secret takes the place of the secret, which is
// accepted for another period. Any goroutine may call the methods, but for Run.
type CookieSecrets struct {
	Keys *cookie.Keys // with the secrets in force

	period time.Duration
	path   string // of the file for the next process; "": none

	mu         sync.Mutex
	configured bool
	state      SecretState // of secrets that rotate
}

// NewCookieSecrets returns CookieSecrets with the secrets of the configuration, one or two, of which
// the first makes cookies. Without any, secrets rotate each period, and are kept in the file at path
// if its folder exists; "" is no file.
func NewCookieSecrets(configured []cookie.Secret, period time.Duration, path string) *CookieSecrets {
	s := &CookieSecrets{Keys: cookie.NewKeys(cookie.NewSecret()), period: period, path: path}
	s.Configure(configured)
	return s
}

// Configure replaces the secrets of the configuration. Secrets that rotate stay without any.
func (s *CookieSecrets) Configure(configured []cookie.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured = len(configured) > 0; s.configured {
		s.Keys.SetSecrets(configured[0], configured[1:]...)
	}
}

// State returns the secrets for the next process; nil with secrets of the configuration, which the
// next process reads itself.
func (s *CookieSecrets) State() *SecretState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured {
		return nil
	}
	state := s.state
	return &state
}

// Load takes the secrets of the previous process: offered, nil for none, or those of the file if
// they are newer. Load changes no file.
func (s *CookieSecrets) Load(offered *SecretState, now time.Time, log zerolog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured {
		return
	}
	if offered != nil {
		s.adopt(*offered)
	}
	if _, err := s.refresh(now); err != nil {
		log.Warn().Err(err).Str("effect", "the secrets of the file are not used").
			Msg("cookie secrets unreadable")
	}
}

// rotationCheck is the time between two checks whether a secret is due: short enough for a host that
// was suspended.
const rotationCheck = time.Minute

// Run rotates the secrets, and keeps the file up to date, until ctx ends. Run is for the active
// process. A standby may have loaded its secrets long ago: Run reads the file first.
func (s *CookieSecrets) Run(ctx context.Context, log zerolog.Logger) {
	s.keep(time.Now(), log)
	tick := time.NewTicker(rotationCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if now := time.Now(); s.isDue(now) {
				s.keep(now, log)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *CookieSecrets) isDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.configured && s.state.isDue(now, s.period)
}

// keep refreshes the secrets, and writes the file if the secrets differ.
func (s *CookieSecrets) keep(now time.Time, log zerolog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured {
		return
	}
	filed, err := s.refresh(now)
	if s.path != "" && (err != nil || !filed.equal(s.state)) {
		err = s.state.write(s.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn().Err(err).Str("effect", "clients get new cookies after a restart").
			Msg("cookie secrets not saved")
	}
}

// refresh takes the secrets of the file if they are newer, for example because another process has
// rotated them, and rotates the secrets that are due then. The result is the content of the file.
func (s *CookieSecrets) refresh(now time.Time) (filed SecretState, err error) {
	if s.path != "" {
		if filed, err = readState(s.path); filed.Created.After(s.state.Created) {
			s.adopt(filed)
		}
	}
	if s.state.isDue(now, s.period) {
		s.adopt(s.state.next(now, s.period))
	}
	return filed, err
}

// adopt puts secrets into force, unless they are invalid.
func (s *CookieSecrets) adopt(state SecretState) {
	if secrets, err := state.secrets(); err == nil {
		s.state = state
		s.Keys.SetSecrets(secrets[0], secrets[1:]...)
	}
}

// maxAhead is how far the clock of the process that made a secret may be ahead: as far as cookies may
// be from the future (RFC 9018 4.3).
const maxAhead = 5 * time.Minute

// isDue reports whether the secret has been in force for a period. A secret from the future is due
// too: it would stay in force for too long.
func (st SecretState) isDue(now time.Time, period time.Duration) bool {
	age := now.Sub(st.Created)
	return age >= period || age < -maxAhead
}

// next returns the state after a rotation. The secret is accepted for another period, which may have
// passed while no process ran.
func (st SecretState) next(now time.Time, period time.Duration) SecretState {
	secret := cookie.NewSecret()
	next := SecretState{Secret: hex.EncodeToString(secret[:]), Created: now.UTC().Truncate(time.Second)}
	if now.Sub(st.Created) < 2*period {
		next.Former = st.Secret
	}
	return next
}

func (st SecretState) equal(other SecretState) bool {
	return st.Secret == other.Secret && st.Former == other.Former && st.Created.Equal(other.Created)
}

// secrets returns Secret and Former. The error does not show them.
func (st SecretState) secrets() ([]cookie.Secret, error) {
	first, err := cookie.ParseSecret(st.Secret)
	if err != nil || st.Former == "" {
		return []cookie.Secret{first}, err
	}
	second, err := cookie.ParseSecret(st.Former)
	return []cookie.Secret{first, second}, err
}

const (
	maxStateFile = 4096             // bytes; the content has less than 200
	stateTimeout = 10 * time.Second // of a file system that does not answer
)

// readState reads the file of a state. Without a file the state is zero.
func readState(path string) (st SecretState, err error) {
	data, err := regular.Read(path, maxStateFile, stateTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil && json.Unmarshal(data, &st) != nil {
		err = errors.New("not JSON with secrets") // the error of json may show a secret
	}
	if err == nil {
		_, err = st.secrets()
	}
	if err != nil {
		return SecretState{}, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

// write replaces the file of a state. Only the user can read the file.
func (st SecretState) write(path string) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if err = cmp.Or(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
