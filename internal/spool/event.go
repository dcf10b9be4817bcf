package spool

// Event is damage, or expired records.
type Event struct {
	Listener string
	Target   string // target that does not get the records
	Expired  uint64 // records that were dropped because the spool was full
	Damage   *Damage
}

// Damage is a part of a segment that can't be read.
type Damage struct {
	File    string `json:"-"`
	Start   int64  `json:"start"` // bytes
	End     int64  `json:"end"`
	Records uint64 `json:"records"` // records that the target does not get
	Reason  string `json:"reason"`
}
