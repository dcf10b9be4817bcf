package metrics

import "time"

// RefusedSender is a source whose datagrams the admission policy has refused, since the start of the
// process. The numbers are estimates from a sample.
type RefusedSender struct {
	Source      string    `json:"source"`       // an address; or a source network of the rate limit, as a prefix
	NotAllowed  uint64    `json:"not_allowed"`  // datagrams that were refused because of the source
	RateLimited uint64    `json:"rate_limited"` // datagrams that were refused because of the rate
	PerSecond   uint64    `json:"per_second"`   // refused datagrams, averaged over some ten seconds
	LastAt      time.Time `json:"last_at"`      // of the last refused datagram that was in a sample, in UTC
}

// SetRefusedSenders sets the result of RefusedSenders. The caller must not change the list
// afterwards.
func (l *Listener) SetRefusedSenders(list []RefusedSender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = list
}

// RefusedSenders returns the sources with the most refused datagrams: the first has the most in the
// last hours. The list is not nil.
func (l *Listener) RefusedSenders() []RefusedSender {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.refused
	notNil(&list)
	return list
}
