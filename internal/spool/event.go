package spool

// Event is damage, or expired records.
type Event struct {
	Listener string
	Target   string // that misses the records
	Expired  uint64 // records that were dropped because the spool was full
	Damage   *Damage
}

// Damage is a part of a segment that can't be read.
type Damage struct {
	File    string `json:"-"`
	Start   int64  `json:"start"` // bytes
	End     int64  `json:"end"`
	Records uint64 `json:"records"` // that are lost for the target
	Reason  string `json:"reason"`
}
