// Package kafka sends batches to a topic of Kafka, with the client franz-go.
//
// A batch becomes messages: one for each record, or one of many lines. Each message has a header
// with the identity of the record or of the batch. The producer is idempotent and waits for all
// replicas in sync: a message that the client itself sends again is stored once. Messages without
// a result stay with the client when Send returns, and the next Send of the same records waits for
// their results. So a broker that hangs stores these messages once, also if the broker handles the
// first request late.
//
// After a restart of the process, or after the target has closed a client, the results of messages
// can be unknown. Then the target reads the topic from the offsets of the last acknowledged batch
// to the end, and finds the stored records by their headers (stored.go). Stored records are not
// sent again.
package kafka

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/udpshard/udpshard/internal/ship"
)

// headerID is the name of the header with the identity: ship.Batch.RecordID of a message of one
// record, ship.Batch.ID of a message of many lines.
const headerID = "udpshard-id"

// target is a topic. One goroutine calls the methods.
type target struct {
	options
	settings *ship.Settings

	client *kgo.Client // nil: not connected
	guard  *guard      // of the client
	limit  sizeLimit
	batch  *fates  // of the records of the latest batch
	flight *flight // messages without a result; nil: none
	memory *flight // ended, its memory is for the next

	offsets   offsets         // next offset of each partition after the last acknowledged batch
	listed    time.Time       // when offsets were those of the ends of all partitions
	firstNote *string         // ship.Batch.Note of the first batch of this process
	acked     map[string]bool // series with an acknowledged batch

	dialing   sync.Mutex
	dialError error     // of the last connection; nil: connected
	away      time.Time // the first of a row of failures since awaitDial; zero: none
}

// New returns a target for kafka://BROKER:PORT,BROKER:PORT/TOPIC.
func New(s *ship.Settings) (ship.Target, error) {
	o, err := parseOptions(s)
	if err != nil {
		return nil, err
	}
	return &target{options: o, settings: s, acked: make(map[string]bool)}, nil
}

// Close closes the connections. Messages without a result are not sent again.
func (t *target) Close() error {
	t.disconnect()
	return nil
}
