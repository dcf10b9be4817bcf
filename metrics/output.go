package metrics

import "time"

// Output is the ledger of a target: spooled = acknowledged + waiting + rejected + expired.
type Output struct {
	To            string  `json:"to"`           // the URL, without secrets
	Spooled       uint64  `json:"spooled"`      // records that were written to the spool for the target
	Acknowledged  uint64  `json:"acknowledged"` // by the target
	Waiting       uint64  `json:"waiting"`
	Rejected      uint64  `json:"rejected"` // refused by the target for good
	Expired       uint64  `json:"expired"`  // dropped because the spool was full, or damaged on the disk
	WaitingBytes  int64   `json:"waiting_bytes"`
	OldestWaiting float64 `json:"oldest_waiting_seconds"`
	Resent        uint64  `json:"resent"`     // acknowledged records that were sent again
	Retries       uint64  `json:"retries"`    // attempts after a failure, of this process
	LastError     string  `json:"last_error"` // of the present outage; "": the target works

	// The times of the last rejected and the last expired record; zero: none, or not known.
	LastRejected time.Time `json:"last_rejected,omitzero"`
	LastExpired  time.Time `json:"last_expired,omitzero"`
}
