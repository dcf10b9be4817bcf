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
	File       string
	Start, End int64  // bytes
	Records    uint64 // that are lost for the target
	Reason     string
}
