package http

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the messages of opentelemetry/proto/collector/logs/v1/logs_service.proto.
const (
	responsePartialSuccess = 1
	partialRejected        = 1
	partialMessage         = 2
)

// accepted reads the answer ExportLogsServiceResponse. An answer with a partial success says how
// many records are rejected, and not which; and the request must not be sent again
// (https://opentelemetry.io/docs/specs/otlp/#partial-success-1). So all records of the request are
// rejected: none is lost, and none is called acknowledged that may not be stored.
func (*otlp) accepted(body io.Reader, part []int, r *results) error {
	answer, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return answerError(err)
	}
	partial, _ := field(answer, responsePartialSuccess)
	_, count := field(partial, partialRejected)
	message, _ := field(partial, partialMessage)
	if len(answer) > 0 && answer[0] == '{' {
		count, message = partialOfJSON(answer)
	}
	r.partial(part, int(min(count, uint64(len(part)))), "partial success", string(message))
	return nil
}

// maxAnswer is how much of an answer to an accepted request is read. The message of a partial
// success may be about each record.
const maxAnswer = 4 << 20

// partialOfJSON returns the partial success of an answer in JSON, which some servers send whatever
// the request is. Numbers of 64 bits are strings in JSON of protobuf.
func partialOfJSON(answer []byte) (count uint64, message []byte) {
	var of struct {
		Partial struct {
			Rejected json.RawMessage `json:"rejectedLogRecords"`
			Message  string          `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &of) != nil {
		return 0, nil
	}
	count, err := strconv.ParseUint(strings.Trim(string(of.Partial.Rejected), `"`), 10, 32)
	if err != nil {
		return 0, nil
	}
	return count, []byte(of.Partial.Message)
}

// field returns the last value of a field of a message: bytes, or a number. Bytes that are no
// protobuf end the message.
func field(message []byte, number protowire.Number) (bytes []byte, varint uint64) {
	for len(message) > 0 {
		got, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return bytes, varint
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(got, kind, message); n < 0 {
			return bytes, varint
		}
		switch {
		case got != number:
		case kind == protowire.BytesType:
			bytes, _ = protowire.ConsumeBytes(message)
		case kind == protowire.VarintType:
			varint, _ = protowire.ConsumeVarint(message)
		}
		message = message[n:]
	}
	return bytes, varint
}
