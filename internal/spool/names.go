package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".log"
	indexSuffix   = ".idx"
	damagedSuffix = ".damaged"

	identityFile    = "spool.json"
	lockFile        = "lock"
	rejectedFile    = "rejected.json"
	olderRejected   = "rejected.json.1"
	epochsFolder    = "epochs"
	lostAndFound    = "lost+found" // of a file system
	consumersFolder = "consumers"
)

// segmentName returns the name of the segment that begins with a record, without suffix. Names
// sort in the order of the records.
func segmentName(first uint64) string { return fmt.Sprintf("%020d", first) }

// parseSegmentName returns the first record of a segment.
func parseSegmentName(name string) (first uint64, ok bool) {
	digits, isSegment := strings.CutSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, isSegment && err == nil && len(digits) == 20
}

// consumerName returns the name of the file with the position of a target.
func consumerName(target string) string {
	sum := sha256.Sum256([]byte(target))
	return hex.EncodeToString(sum[:8])
}

// isConsumerName reports whether consumerName may have returned a name.
func isConsumerName(name string) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == 8
}

// seriesName returns the name of the series of a shard: 12-0 for epoch 12 and shard 0.
func seriesName(epoch uint64, shard int) string { return fmt.Sprintf("%d-%d", epoch, shard) }

// parseSeriesName returns epoch and shard of a series.
func parseSeriesName(name string) (epoch uint64, shard int, ok bool) {
	left, right, found := strings.Cut(name, "-")
	epoch, err := strconv.ParseUint(left, 10, 64)
	if err != nil || !found {
		return 0, 0, false
	}
	shard, err = strconv.Atoi(right)
	return epoch, shard, err == nil && shard >= 0 && seriesName(epoch, shard) == name
}

// listenerFolder returns the name of a listener's folder. The names of listeners are printable
// ASCII, also / and a leading dot.
func listenerFolder(listener string) string {
	name := url.PathEscape(listener)
	if strings.HasPrefix(name, ".") || isOwnName(name) {
		return "%" + fmt.Sprintf("%02X", name[0]) + name[1:]
	}
	return name
}

// listenerOfFolder returns the name of the listener that has a folder.
func listenerOfFolder(name string) (listener string, ok bool) {
	listener, err := url.PathUnescape(name)
	return listener, err == nil && listenerFolder(listener) == name
}

// isOwnName reports whether a name in the folder of the spool belongs to no listener.
func isOwnName(name string) bool {
	switch name {
	case identityFile, lockFile, rejectedFile, olderRejected, epochsFolder, lostAndFound:
		return true
	}
	return false
}
