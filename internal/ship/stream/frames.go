package stream

import (
	"encoding/base64"
	"encoding/binary"
	"sort"
	"strconv"

	"github.com/udpshard/udpshard/internal/ship"
)

// frames are the records of a batch as they go over the wire. The memory is used again by the next
// batch.
type frames struct {
	octetCounting bool // else each record ends in a newline
	dnstap        bool // each record is frames of dnstap in base64
	escaped       bool // control characters of lines are escaped

	bytes []byte
	ends  []int // for each record of the batch: where its frame ends in bytes
}

// The reasons for which a record is rejected.
const (
	emptyRecord = "an empty record has no frame with octet-counting"
	notDnstap   = "the record was spooled in another format than dnstap"
)

// fill replaces the frames by those of other records. An empty record has no frame with octet
// counting (RFC 5425 section 4.3.1: a length begins with a digit from 1 to 9), and is rejected.
func (f *frames) fill(records [][]byte) (rejected []ship.Rejection) {
	f.bytes, f.ends = f.bytes[:0], f.ends[:0]
	for i, record := range records {
		switch {
		case f.dnstap:
			decoded, err := base64.StdEncoding.AppendDecode(f.bytes, record)
			if err != nil {
				rejected = append(rejected, ship.Rejection{Index: i, Reason: notDnstap})
				break
			}
			f.bytes = decoded
		case f.octetCounting && len(record) == 0:
			rejected = append(rejected, ship.Rejection{Index: i, Reason: emptyRecord})
		case f.octetCounting:
			f.bytes = strconv.AppendInt(f.bytes, int64(len(record)), 10)
			f.bytes = append(f.bytes, ' ')
			f.bytes = append(f.bytes, record...)
		case f.escaped:
			f.bytes = append(appendEscaped(f.bytes, record), '\n')
		default:
			f.bytes = append(append(f.bytes, record...), '\n')
		}
		f.ends = append(f.ends, len(f.bytes))
	}
	return rejected
}

// start returns where the frame of a record begins in bytes.
func (f *frames) start(i int) int {
	if i == 0 {
		return 0
	}
	return f.ends[i-1]
}

// within returns how many of the first records have their frames in the first n bytes.
func (f *frames) within(n int) int {
	return sort.SearchInts(f.ends, n+1)
}

// appendEscaped appends a record with each control character of ASCII as # and three octal digits,
// as rsyslog does by default with bytes below 0x20 (parser.escapeControlCharactersOnReceive).
func appendEscaped(line, record []byte) []byte {
	for {
		n := plain(record)
		line = append(line, record[:n]...)
		if n == len(record) {
			return line
		}
		c := record[n]
		line = append(line, '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		record = record[n+1:]
	}
}

// plain returns how many of the first bytes are no control characters. It looks at eight bytes at a
// time.
func plain(record []byte) (n int) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(record); n += 8 {
		word := binary.LittleEndian.Uint64(record[n:])
		delete := word ^ 0x7f*ones // a byte 0x7f becomes 0
		// The subtraction borrows into the top bit of a byte below 0x20, or of a byte that is 0.
		if ((word-0x20*ones)&^word|(delete-ones)&^delete)&tops != 0 {
			break
		}
	}
	for ; n < len(record); n++ {
		if c := record[n]; c < 0x20 || c == 0x7f {
			break
		}
	}
	return n
}
