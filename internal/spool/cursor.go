package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// state is the content of a cursor file: the position and the ledger of a target.
type state struct {
	Target       string              `json:"target"`
	Acknowledged uint64              `json:"acknowledged"`
	Rejected     uint64              `json:"rejected"`
	Expired      uint64              `json:"expired"`
	Resent       uint64              `json:"resent"`
	Waiting      uint64              `json:"waiting"`       // when the state was written
	WaitingBytes int64               `json:"waiting_bytes"` // likewise
	LastRejected time.Time           `json:"last_rejected,omitzero"`
	LastExpired  time.Time           `json:"last_expired,omitzero"`
	Note         string              `json:"note,omitempty"`
	Sending      *sending            `json:"sending,omitempty"`
	Series       map[string]position `json:"series"`
}

// sending is a batch that was sent, and whose acknowledgement has not arrived.
type sending struct {
	Series string `json:"series"`
	First  uint64 `json:"first"`
	Count  int    `json:"count"`
}

// cursor is the file of a state. The file has two slots, which are written in turn: while a slot is
// written, the state in the other slot is whole. A slot is the sequence number (8 bytes), the
// length (4) and the CRC32C (4) of the state, and the state in JSON. The state is written before
// each batch and after each acknowledgement, without waiting for the disk: after the end of the
// process, the state is exact.
//
// A process that begins to ship replaces the file. So a process that was stopped during a write, and
// replaced, writes to the previous file when the process wakes up.
type cursor struct {
	path     string
	file     *os.File
	sequence uint64
	slot     []byte
}

const (
	slotSize   = 1 << 20 // with holes: a state has some hundred bytes
	slotHeader = 16
	// reserved bytes of each slot are allocated when the file is opened, so that a position can be
	// saved, and the spool emptied, when the spool has filled the disk.
	reserved = 16 << 10
)

var errDamagedCursor = errors.New("position of the target damaged")

// openCursor opens or makes a cursor file, and reads its state.
func openCursor(path string) (c *cursor, s state, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, s, withoutPath(err)
	}
	c = &cursor{path: path, file: f}
	c.reserve()
	s, c.sequence, err = readCursor(f)
	return c, s, err
}

// reserve allocates the blocks of both slots. An error is ignored: a file system that can't, or
// that is full already, may still have room when the state is written.
func (c *cursor) reserve() {
	for slot := range int64(2) {
		allocate(c.file, slot*slotSize)
	}
}

// allocate allocates the blocks of a slot, if the file system can.
func allocate(f *os.File, at int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, at, reserved)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// reopen opens the file that has the name now, and reads its state.
func (c *cursor) reopen() (s state, err error) {
	now, s, err := openCursor(c.path)
	if now != nil {
		c.file.Close()
		c.file, c.sequence = now.file, now.sequence
	}
	return s, err
}

// replace replaces the file by a new one with the state. After an error, as on a full disk, the file
// stays in use.
func (c *cursor) replace(s *state) error {
	prefix := filepath.Join(filepath.Dir(c.path), "."+filepath.Base(c.path)+".")
	left, _ := filepath.Glob(globEscape(prefix) + "*") // of a process that has ended meanwhile
	for _, name := range left {
		os.Remove(name)
	}
	f, err := os.CreateTemp(filepath.Dir(prefix), filepath.Base(prefix)+"*")
	if err != nil {
		return withoutPath(err)
	}
	next := &cursor{file: f, sequence: c.sequence}
	for slot := range int64(2) { // unlike the file in use, the new one must have its room
		err = errors.Join(err, allocate(f, slot*slotSize))
	}
	err = errors.Join(err, next.save(s), f.Chmod(fileMode), f.Sync())
	if err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return err
	}
	c.file.Close()
	c.file, c.sequence = f, next.sequence
	return nil
}

// readState reads the newest state of the file that has the name now.
func (c *cursor) readState() (s state, err error) {
	f, err := os.Open(c.path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	s, _, err = readCursor(f)
	return s, err
}

// readCursor reads the state with the higher sequence number. The error is errDamagedCursor if no
// slot is whole, and the file is not empty.
func readCursor(r io.ReaderAt) (s state, sequence uint64, err error) {
	empty := true
	for slot := range int64(2) {
		header := make([]byte, slotHeader)
		if n, _ := r.ReadAt(header, slot*slotSize); n == 0 {
			continue
		}
		number := binary.LittleEndian.Uint64(header)
		length := binary.LittleEndian.Uint32(header[8:])
		if number == 0 && length == 0 { // a hole
			continue
		}
		empty = false
		if length > slotSize-slotHeader || number <= sequence {
			continue
		}
		data := make([]byte, length)
		if n, _ := r.ReadAt(data, slot*slotSize+slotHeader); n < len(data) {
			continue
		}
		var found state
		if checksum(header, data) != binary.LittleEndian.Uint32(header[12:]) || json.Unmarshal(data, &found) != nil {
			continue
		}
		s, sequence = found, number
	}
	if sequence == 0 && !empty {
		err = errDamagedCursor
	}
	return s, sequence, err
}

// checksum covers the sequence number, the length and the state.
func checksum(header, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[:12], castagnoli), castagnoli, data)
}

// save writes the state to the slot with the older one.
func (c *cursor) save(s *state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(data) > slotSize-slotHeader {
		return fmt.Errorf("position of %s: %d bytes", s.Target, len(data))
	}
	c.sequence++
	c.slot = append(c.slot[:0], make([]byte, slotHeader)...)
	binary.LittleEndian.PutUint64(c.slot, c.sequence)
	binary.LittleEndian.PutUint32(c.slot[8:], uint32(len(data)))
	binary.LittleEndian.PutUint32(c.slot[12:], checksum(c.slot, data))
	_, err = c.file.WriteAt(append(c.slot, data...), int64(c.sequence%2)*slotSize)
	return withoutPath(err)
}

// setAside renames a damaged cursor file, and makes a new one.
func (c *cursor) setAside() error {
	path := c.path
	c.file.Close()
	if err := os.Rename(path, path+damagedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return withoutPath(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return withoutPath(err)
	}
	c.file, c.sequence = f, 0
	c.reserve()
	return nil
}
