package ship

import "testing"

// A batch of the listener syslog and a record of the listener syslog-1 have different identities.
func TestIdentitiesDiffer(t *testing.T) {
	batch := &Batch{Spool: "0123456789abcdef", Listener: "syslog", Series: "1-1", Records: make([][]byte, 5)}
	record := &Batch{Spool: batch.Spool, Listener: "syslog-1", Series: "1-0", First: 5}
	if id, want := batch.ID(), "0123456789abcdef-syslog-1-1-0.5"; id != want {
		t.Errorf("batch %s, want %s", id, want)
	}
	if id, want := record.RecordID(0), "0123456789abcdef-syslog-1-1-0-5"; id != want {
		t.Errorf("record %s, want %s", id, want)
	}
}

func TestListenerNamesAreEscaped(t *testing.T) {
	b := &Batch{Spool: "0123456789abcdef", Listener: "a b%/é", Series: "12-0", First: 3}
	if id, want := b.RecordID(1), "0123456789abcdef-a%20b%25%2F%C3%A9-12-0-4"; id != want {
		t.Errorf("record %s, want %s", id, want)
	}
}
