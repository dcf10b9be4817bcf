package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsets are the next offset of each partition of a topic, by number; unknown if none is known.
type offsets []int64

const unknown = -1

// Timestamps that stand for offsets in ListOffsets of the protocol of Kafka.
const (
	atStart = -2
	atEnd   = -1
)

// parseOffsets parses a text of String. Parts that are no numbers are unknown.
func parseOffsets(text string) (o offsets) {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		next, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			next = unknown
		}
		o = append(o, next)
	}
	return o
}

// String returns the offsets in the order of the partitions, separated by commas.
func (o offsets) String() string {
	var text []byte
	for i, next := range o {
		if i > 0 {
			text = append(text, ',')
		}
		if next != unknown {
			text = strconv.AppendInt(text, next, 10)
		}
	}
	return string(text)
}

// of returns the offset of a partition.
func (o offsets) of(partition int32) int64 {
	if int(partition) < len(o) {
		return o[partition]
	}
	return unknown
}

// advance raises the offset of a partition.
func (o *offsets) advance(partition int32, next int64) {
	for int(partition) >= len(*o) {
		*o = append(*o, unknown)
	}
	(*o)[partition] = max((*o)[partition], next)
}

// listEnds notes the ends of all partitions, at most once a minute, before the messages of a batch
// are sent: so the offsets of partitions without messages of this target do not grow old.
func (t *target) listEnds(ctx context.Context) error {
	if t.client != nil && time.Since(t.listed) < time.Minute {
		return nil
	}
	if t.client == nil {
		if err := t.connect(ctx); err != nil {
			return err
		}
	}
	n, err := t.partitions(ctx, t.client)
	if err != nil {
		return err
	}
	ends, err := t.list(ctx, t.client, n, atEnd)
	if err != nil {
		return err
	}
	t.offsets, t.listed = ends, time.Now()
	return nil
}

// list returns the offsets of all partitions at a time in milliseconds since 1970, atStart or
// atEnd. unknown stands for partitions without a message since then.
func (t *target) list(ctx context.Context, client *kgo.Client, partitions int, at int64) (
	offsets, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = t.topic
	for i := range partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = int32(i), at
		topic.Partitions = append(topic.Partitions, partition)
	}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, t.sendError(err)
	}
	var listed offsets
	answers := 0
	for i := range response.Topics {
		for _, p := range response.Topics[i].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, t.sendError(fmt.Errorf("offset of partition %d: %w", p.Partition, err))
			}
			listed.advance(p.Partition, p.Offset)
			answers++
		}
	}
	if answers != partitions {
		return nil, fmt.Errorf("topic %s: offsets of %d partitions, asked for %d",
			t.topic, answers, partitions)
	}
	return listed, nil
}
