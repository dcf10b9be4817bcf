package syslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/udpshard/udpshard/packet/record"
)

// defaultPriority is the PRI of a message without a PRI: user.notice (RFC 3164 section 4.3.3).
const defaultPriority = 13

// maxFraction5424 is the maximum number of fraction digits in RFC 5424 section 6.2.3.
const maxFraction5424 = 6

// versions are each PRI with the VERSION and a space.
var versions = makeVersions()

func makeVersions() (versions [maxPriority + 1]string) {
	for p := range versions {
		versions[p] = "<" + strconv.Itoa(p) + ">1 "
	}
	return versions
}

// AppendRFC5424 appends the message in RFC 5424 section 6, as a line of UTF-8 without the newline.
// Structured data is followed by an element with the source, if the source is valid: [udpshard@32473
// ip="192.0.2.1" port="514"]. The element has the param truncated="true" for a truncated datagram.
//
//   - A message without a PRI gets <13>; a message without a TIMESTAMP gets receivedAt in UTC.
//     Fraction digits after the sixth are cut.
//   - Other missing header fields are NILVALUE.
//   - Header fields are cut to the lengths of section 6, and bytes outside PRINTUSASCII become ?.
//   - Control characters in values and in MSG become #ooo, and bytes that are not UTF-8 become
//     U+FFFD; see record.AppendLine. MSG has a BOM if the sender has sent a BOM.
//   - If the sender has sent an element udpshard@32473, as another relay with this handler does, the
//     params with the source are appended to the element: the last ip is the source.
func (m *Message) AppendRFC5424(
	dst []byte, receivedAt time.Time, source netip.AddrPort, truncated bool,
) []byte {
	priority := uint8(defaultPriority)
	if m.HasPriority {
		priority = m.Priority
	}
	dst = append(dst, versions[priority]...)
	dst = appendTimestamp5424(dst, m.Timestamp, receivedAt)
	dst = appendField(dst, m.Hostname, maxHostname)
	dst = appendField(dst, m.AppName, maxAppName)
	dst = appendField(dst, m.ProcID, maxProcID)
	dst = appendField(dst, m.MsgID, maxMsgID)
	dst = append(dst, ' ')
	dst = appendElements5424(dst, m.StructuredData, source, truncated)
	if len(m.Text)+len(m.Prefix[0])+len(m.Prefix[1]) == 0 && !m.hasBOM {
		return dst
	}
	dst = append(dst, ' ')
	if m.hasBOM {
		dst = append(dst, byteOrderMark...)
	}
	for _, prefix := range m.Prefix {
		dst = append(dst, prefix...) // digits, colons, spaces
	}
	return record.AppendLine(dst, m.Text)
}

// appendTimestamp5424 appends a timestamp in RFC 3339, or receivedAt.
func appendTimestamp5424(dst, stamp []byte, receivedAt time.Time) []byte {
	if len(stamp) == 0 {
		return receivedAt.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	}
	const point = len("2006-01-02T15:04:05")
	zone := point
	if stamp[point] == '.' {
		for zone++; isDigit(stamp[zone]); zone++ {
		}
	}
	dst = append(dst, stamp[:min(zone, point+1+maxFraction5424)]...)
	return append(dst, stamp[zone:]...)
}

// appendField appends a space and a header field, or NILVALUE.
func appendField(dst, value []byte, maxLength int) []byte {
	if len(value) == 0 {
		return append(dst, ' ', '-')
	}
	dst = append(dst, ' ')
	start := len(dst)
	dst = append(dst, value[:min(len(value), maxLength)]...)
	for i, c := range dst[start:] {
		if !isPrintASCII(c) {
			dst[start+i] = '?'
		}
	}
	return dst
}
