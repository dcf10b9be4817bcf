package ship

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// rejectedFile keeps the records that targets have refused, one JSON object a line. A file of
// maxRejected bytes is renamed, and replaces the file that was renamed before.
type rejectedFile struct {
	folder string
	mu     sync.Mutex
}

const (
	rejectedName = "rejected.json"
	maxRejected  = 16 << 20
)

// rejectedRecord is a line of the file.
type rejectedRecord struct {
	At       string `json:"rejected_at"`
	To       string `json:"to"`
	Listener string `json:"listener"`
	ID       string `json:"id"` // RecordID of the batch
	Reason   string `json:"reason"`
	Record   string `json:"record,omitempty"`
	Base64   []byte `json:"record_base64,omitempty"` // of a record that is not UTF-8
}

// add appends rejected records of a batch.
func (f *rejectedFile) add(to string, b *Batch, rejected []Rejection) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := filepath.Join(f.folder, rejectedName)
	if info, err := os.Stat(path); err == nil && info.Size() > maxRejected {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer file.Close()
	var lines []byte
	for _, r := range rejected {
		record := rejectedRecord{At: time.Now().UTC().Format(time.RFC3339Nano), To: to,
			Listener: b.Listener, ID: b.RecordID(r.Index), Reason: r.Reason}
		if raw := b.Records[r.Index]; utf8.Valid(raw) {
			record.Record = string(raw)
		} else {
			record.Base64 = raw
		}
		line, err := json.Marshal(record)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	_, err = file.Write(lines)
	return err
}
