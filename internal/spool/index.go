package spool

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// block describes a part of a segment: whole lines, with a checksum.
type block struct {
	start, end int64  // bytes in the segment
	first      uint64 // number of the first record in the series
	records    uint32
	crc        uint32    // CRC32C of the lines
	began      time.Time // when the first line was written
}

// entrySize is the length in bytes of a block in an index: the fields of a block in the order of
// the type, little-endian, the CRC32C of these bytes, and four zeros.
const entrySize = 56

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// next returns the number of the record after the block.
func (b block) next() uint64 { return b.first + uint64(b.records) }

// append appends the index entry of the block.
func (b block) append(dst []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.start))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.end))
	dst = binary.LittleEndian.AppendUint64(dst, b.first)
	dst = binary.LittleEndian.AppendUint32(dst, b.records)
	dst = binary.LittleEndian.AppendUint32(dst, b.crc)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.began.UnixNano()))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, make([]byte, entrySize-(len(dst)-start))...)
}

// parseEntry returns the block of an index entry.
func parseEntry(e []byte) (b block, ok bool) {
	const checked = 40
	if crc32.Checksum(e[:checked], castagnoli) != binary.LittleEndian.Uint32(e[checked:]) {
		return b, false
	}
	b = block{
		start:   int64(binary.LittleEndian.Uint64(e)),
		end:     int64(binary.LittleEndian.Uint64(e[8:])),
		first:   binary.LittleEndian.Uint64(e[16:]),
		records: binary.LittleEndian.Uint32(e[24:]),
		crc:     binary.LittleEndian.Uint32(e[28:]),
		began:   time.Unix(0, int64(binary.LittleEndian.Uint64(e[32:]))),
	}
	return b, b.start >= 0 && b.start < b.end && b.end-b.start <= maxBlock
}

// parseIndex returns the blocks of an index in order. Damaged entries, and entries that do not
// follow the entry before, are left out: their lines are read without a checksum.
func parseIndex(index []byte) []block { return appendBlocks(nil, index) }

// appendBlocks appends the blocks of a part of an index to those before.
func appendBlocks(blocks []block, index []byte) []block {
	for ; len(index) >= entrySize; index = index[entrySize:] {
		b, ok := parseEntry(index)
		if n := len(blocks); ok && n > 0 {
			last := blocks[n-1]
			ok = b.start >= last.end && b.first >= last.next()
		}
		if ok {
			blocks = append(blocks, b)
		}
	}
	return blocks
}
