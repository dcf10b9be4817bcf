package http

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// otlp is the OpenTelemetry protocol for logs over HTTP, in protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). otlp writes the message
// ExportLogsServiceRequest field by field: generated types would need some twenty allocations a
// record. Tests read the bodies with the generated types of go.opentelemetry.io/proto/otlp.
type otlp struct {
	plain
	text []byte // an unescaped string
}

func newOTLP(*ship.Settings) (format, error) { return new(otlp), nil }

func (*otlp) setHeader(h http.Header) { h.Set("Content-Type", "application/x-protobuf") }

// Fields of the messages of opentelemetry/proto/logs/v1/logs.proto, common/v1/common.proto and
// resource/v1/resource.proto.
const (
	requestResourceLogs = 1
	resourceLogs        = 1 // ResourceLogs.resource
	resourceScopeLogs   = 2
	resourceAttributes  = 1
	scopeLogsScope      = 1
	scopeLogsRecords    = 2
	scopeName           = 1
	recordTime          = 1
	recordSeverity      = 2
	recordSeverityText  = 3
	recordBody          = 5
	recordAttributes    = 6
	recordObservedTime  = 11
	keyValueKey         = 1
	keyValueValue       = 2
	anyString           = 1
	anyBool             = 2
	anyInt              = 3
	anyDouble           = 4
	anyArray            = 5
	anyList             = 6
	listValues          = 1 // ArrayValue.values, KeyValueList.values
)

// severityNumbers are the numbers of the severities of syslog: appendix B of the log data model
// (https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/).
var severityNumbers = map[string]uint64{
	"emerg": 21, "alert": 19, "crit": 18, "err": 17, "warning": 13, "notice": 10, "info": 9, "debug": 5,
}

// append appends a request with one resource, the program and the listener, and one scope.
func (o *otlp) append(dst []byte, b *ship.Batch, part []int) []byte {
	dst, resourceLogsAt := openMessage(dst, requestResourceLogs)
	dst, resourceAt := openMessage(dst, resourceLogs)
	dst = appendAttribute(dst, resourceAttributes, "service.name", "udpshard")
	dst = appendAttribute(dst, resourceAttributes, "listener", b.Listener)
	dst = closeMessage(dst, resourceAt)
	dst, scopeLogsAt := openMessage(dst, resourceScopeLogs)
	dst, scopeAt := openMessage(dst, scopeLogsScope)
	dst = appendString(dst, scopeName, "udpshard")
	dst = closeMessage(dst, scopeAt)
	for _, i := range part {
		var at int
		dst, at = openMessage(dst, scopeLogsRecords)
		if b.Format == ship.JSON {
			dst = o.appendRecord(dst, b.Records[i])
		} else {
			dst = o.appendText(dst, b, i)
		}
		dst = closeMessage(dst, at)
	}
	dst = closeMessage(dst, scopeLogsAt)
	return closeMessage(dst, resourceLogsAt)
}

// appendText appends the fields of a LogRecord for a record that is no JSON.
func (o *otlp) appendText(dst []byte, b *ship.Batch, i int) []byte {
	dst = appendTime(dst, recordObservedTime, b.SpooledAt)
	o.text = record.AppendText(o.text[:0], b.Records[i]) // UTF-8
	dst, body := openMessage(dst, recordBody)
	dst = o.appendString(dst, anyString, o.text)
	return closeMessage(dst, body)
}

// appendRecord appends the fields of a LogRecord. Members without a field of their own become
// attributes; the listener is the resource's.
func (o *otlp) appendRecord(dst, line []byte) []byte {
	for key, value := range record.Members(line) {
		text := record.Text(value)
		switch string(key) {
		case "timestamp":
			if t := parseTime(text); !t.IsZero() {
				dst = appendTime(dst, recordTime, t)
				continue
			}
		case "received_at":
			if t := parseTime(text); !t.IsZero() {
				dst = appendTime(dst, recordObservedTime, t)
				continue
			}
		case "severity":
			dst = protowire.AppendTag(dst, recordSeverity, protowire.VarintType)
			dst = protowire.AppendVarint(dst, severityNumbers[string(text)])
			dst = o.appendString(dst, recordSeverityText, text)
			continue
		case "message":
			var at int
			dst, at = openMessage(dst, recordBody)
			dst = closeMessage(o.appendValue(dst, value, 0), at)
			continue
		case "listener":
			continue
		}
		var at int
		dst, at = openMessage(dst, recordAttributes)
		dst = closeMessage(o.appendMember(dst, key, value, 0), at)
	}
	return dst
}

// appendMember appends the fields of a KeyValue.
func (o *otlp) appendMember(dst, key, value []byte, depth int) []byte {
	dst = o.appendString(dst, keyValueKey, key)
	dst, at := openMessage(dst, keyValueValue)
	return closeMessage(o.appendValue(dst, value, depth), at)
}

// appendValue appends the fields of an AnyValue. Values in too many objects and arrays stay JSON:
// records have at most three levels (structured_data with repeated parameters).
func (o *otlp) appendValue(dst, value []byte, depth int) []byte {
	const maxDepth = 8
	switch c := value[0]; {
	case c == '"':
		return o.appendString(dst, anyString, record.Text(value))
	case c == 't' || c == 'f':
		dst = protowire.AppendTag(dst, anyBool, protowire.VarintType)
		return protowire.AppendVarint(dst, protowire.EncodeBool(c == 't'))
	case c == 'n':
		return dst
	case c == '{' && depth < maxDepth:
		dst, list := openMessage(dst, anyList)
		for key, member := range record.Members(value) {
			var at int
			dst, at = openMessage(dst, listValues)
			dst = closeMessage(o.appendMember(dst, key, member, depth+1), at)
		}
		return closeMessage(dst, list)
	case c == '[' && depth < maxDepth:
		dst, list := openMessage(dst, anyArray)
		for element := range record.Elements(value) {
			var at int
			dst, at = openMessage(dst, listValues)
			dst = closeMessage(o.appendValue(dst, element, depth+1), at)
		}
		return closeMessage(dst, list)
	case c == '{' || c == '[':
		return appendString(dst, anyString, string(value))
	}
	return appendNumber(dst, string(value))
}

// appendNumber appends the field of an AnyValue for a number of JSON.
func appendNumber(dst []byte, text string) []byte {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		dst = protowire.AppendTag(dst, anyInt, protowire.VarintType)
		return protowire.AppendVarint(dst, uint64(n))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return appendString(dst, anyString, text)
	}
	dst = protowire.AppendTag(dst, anyDouble, protowire.Fixed64Type)
	return protowire.AppendFixed64(dst, math.Float64bits(f))
}

// appendString appends a string field; text is text of JSON.
func (o *otlp) appendString(dst []byte, field protowire.Number, text []byte) []byte {
	if bytes.IndexByte(text, '\\') >= 0 {
		dst, at := openMessage(dst, field)
		return closeMessage(record.AppendUnescaped(dst, text), at)
	}
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendBytes(dst, text)
}

func appendString(dst []byte, field protowire.Number, text string) []byte {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return protowire.AppendString(dst, text)
}

// appendAttribute appends a field of the type KeyValue.
func appendAttribute(dst []byte, field protowire.Number, key, value string) []byte {
	dst, attributeAt := openMessage(dst, field)
	dst = appendString(dst, keyValueKey, key)
	dst, valueAt := openMessage(dst, keyValueValue)
	dst = appendString(dst, anyString, value)
	return closeMessage(closeMessage(dst, valueAt), attributeAt)
}

// appendTime appends a time in nanoseconds since 1970.
func appendTime(dst []byte, field protowire.Number, t time.Time) []byte {
	dst = protowire.AppendTag(dst, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(dst, uint64(t.UnixNano()))
}

// openMessage begins a field with a length, which closeMessage writes: start is the end of dst.
func openMessage(dst []byte, field protowire.Number) (opened []byte, start int) {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return dst, len(dst)
}

// closeMessage inserts the length of the bytes since start.
func closeMessage(dst []byte, start int) []byte {
	n := len(dst) - start
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size]...)
	copy(dst[start+size:], dst[start:start+n])
	copy(dst[start:], length[:size])
	return dst
}
