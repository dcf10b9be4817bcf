package record

import "time"

// AppendTime appends t as a JSON string: RFC 3339 in UTC with six fraction digits, so that the
// strings sort like the times.
func AppendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, `"2006-01-02T15:04:05.000000Z"`)
}
