package dnsrecord

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"

	"github.com/udpshard/udpshard/internal/rdata"
	"github.com/udpshard/udpshard/packet/record"
)

// JSON writes an object for each exchange. docs/dns.md has the members.
type JSON struct {
	tail        record.Tail
	text        []byte // of a name or an address
	zone        []byte // of the last record with a zone
	zoneText    []byte // zone, as JSON
	destination netip.AddrPort
	toText      []byte // destination, as JSON
	answers     *answers
}

// NewJSON returns the JSON of one shard of a listener, or of record.NoShard. withAnswers adds
// the records of the answer section.
func NewJSON(listener string, shard int, withAnswers bool) *JSON {
	j := &JSON{tail: record.NewTail(listener, shard)}
	if withAnswers {
		j.answers = new(answers)
	}
	return j
}

// Append appends the record of an exchange, and a newline.
func (j *JSON) Append(dst []byte, e *Exchange) []byte {
	dst = append(dst, '{')
	if len(e.Message) >= HeaderSize {
		dst = j.appendQuery(dst, e)
	}
	if e.Reply != nil {
		dst = j.appendReply(dst, e)
	}
	if e.Zone != nil {
		dst = append(dst, j.zoneMember(e.Zone)...)
	}
	if e.Limited != "" {
		dst = appendKeyword(dst, `"limited":"`, e.Limited)
	}
	if len(e.Message) >= HeaderSize {
		dst = appendQueryFlags(dst, flags(e.Message))
	}
	if e.EDNS {
		dst = appendEDNS(dst, e)
	}
	if e.Malformed != "" && len(e.Message) > 0 {
		dst = append(dst, `"message_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.Message)
		dst = append(dst, '"', ',')
	}
	dst = appendKeyword(dst, `"transport":"`, e.Transport.String())
	if e.Destination.IsValid() {
		dst = append(dst, j.destinationMember(e.Destination)...)
	}
	dst = appendNumber(dst, `"query_size":`, len(e.Message))
	if e.Reply != nil {
		dst = appendNumber(dst, `"reply_size":`, len(e.Reply))
	}
	dst = appendNumber(dst, `"duration_us":`, int(e.Duration.Round(time.Microsecond).Microseconds()))
	dst = dst[:len(dst)-1] // the comma
	return j.tail.Append(dst, e.ReceivedAt, e.Source, "", e.Malformed, e.Truncated)
}

// appendQuery appends what the header and the question of the message say.
func (j *JSON) appendQuery(dst []byte, e *Exchange) []byte {
	dst = appendNumber(dst, `"id":`, int(binary.BigEndian.Uint16(e.Message)))
	if e.Name != nil {
		dst = append(dst, `"name":`...)
		dst = j.appendName(dst, e.Name)
		dst = append(dst, `,"type":"`...)
		dst = rdata.AppendType(dst, e.Type)
		dst = append(dst, `","class":"`...)
		dst = AppendClass(dst, e.Class)
		dst = append(dst, '"', ',')
	}
	dst = append(dst, `"opcode":"`...)
	dst = AppendOpcode(dst, int(flags(e.Message)>>11&0xf))
	return append(dst, '"', ',')
}

// appendReply appends what the header of the reply says.
func (j *JSON) appendReply(dst []byte, e *Exchange) []byte {
	dst = append(dst, `"rcode":"`...)
	dst = AppendRcode(dst, e.Rcode)
	dst = append(dst, `","flags":[`...)
	sent := flags(e.Reply)
	for _, f := range flagNames {
		if sent&f.bit != 0 {
			dst = append(dst, f.text...)
		}
	}
	dst[len(dst)-1] = ']' // a reply has at least QR
	dst = append(dst, ',')
	dst = appendNumber(dst, `"answers":`, answerCount(e.Reply))
	if j.answers != nil {
		dst = j.answers.append(dst, e.Reply)
	}
	return dst
}

// flagNames are the flags of the header, by the names that dig prints.
var flagNames = []struct {
	bit  uint16
	text string
}{
	{1 << 15, `"qr",`}, {1 << 10, `"aa",`}, {1 << 9, `"tc",`}, {1 << 8, `"rd",`}, {1 << 7, `"ra",`}, {1 << 5, `"ad",`}, {1 << 4, `"cd",`},
}

// appendQueryFlags appends the flags with which clients ask for a kind of answer, if set.
func appendQueryFlags(dst []byte, sent uint16) []byte {
	if sent&(1<<8|1<<5|1<<4) == 0 {
		return dst
	}
	if sent&(1<<8) != 0 {
		dst = append(dst, `"rd":true,`...)
	}
	if sent&(1<<5) != 0 {
		dst = append(dst, `"ad":true,`...)
	}
	if sent&(1<<4) != 0 {
		dst = append(dst, `"cd":true,`...)
	}
	return dst
}

func appendEDNS(dst []byte, e *Exchange) []byte {
	dst = append(dst, `"edns":{`...)
	dst = appendNumber(dst, `"version":`, int(e.Version))
	dst = appendNumber(dst, `"size":`, int(e.Size))
	if e.DO {
		dst = append(dst, `"do":true,`...)
	}
	if subnet, ok := parseClientSubnet(e.ClientSubnet); ok {
		dst = append(dst, `"client_subnet":"`...)
		dst = subnet.AppendTo(dst)
		dst = append(dst, '"', ',')
	}
	if e.Cookie != "" {
		dst = appendKeyword(dst, `"cookie":"`, e.Cookie)
	}
	dst[len(dst)-1] = '}'
	return append(dst, ',')
}

// parseClientSubnet parses the data of the option EDNS Client Subnet (RFC 7871 section 6): family,
// length of the prefix, scope, and as many octets of the address as the prefix needs.
func parseClientSubnet(data []byte) (netip.Prefix, bool) {
	if len(data) < 4 {
		return netip.Prefix{}, false
	}
	var octets [16]byte
	bits, address := int(data[2]), data[4:]
	if len(address) != (bits+7)/8 || copy(octets[:], address) < len(address) {
		return netip.Prefix{}, false
	}
	addr := netip.AddrFrom16(octets)
	switch binary.BigEndian.Uint16(data) {
	case 1:
		addr = netip.AddrFrom4([4]byte(octets[:]))
	case 2:
	default:
		return netip.Prefix{}, false
	}
	prefix := netip.PrefixFrom(addr, bits)
	return prefix, prefix.IsValid()
}

// appendName appends a name in wire form as a JSON string.
func (j *JSON) appendName(dst, name []byte) []byte {
	j.text = rdata.AppendName(j.text[:0], name)
	return record.AppendString(dst, j.text)
}

// zoneMember returns the member zone. Most records have the zone of the record before.
func (j *JSON) zoneMember(zone []byte) []byte {
	if !bytes.Equal(zone, j.zone) {
		j.zone = append(j.zone[:0], zone...)
		j.zoneText = append(j.zoneText[:0], `"zone":`...)
		j.zoneText = append(j.appendName(j.zoneText, zone), ',')
	}
	return j.zoneText
}

// destinationMember returns the member destination. Most records have the destination of the record
// before.
func (j *JSON) destinationMember(to netip.AddrPort) []byte {
	if to != j.destination {
		j.destination = to
		j.text = to.AppendTo(j.text[:0])
		j.toText = append(j.toText[:0], `"destination":`...)
		j.toText = append(record.AppendString(j.toText, j.text), ',')
	}
	return j.toText
}

// appendNumber appends a member with a number, and a comma.
func appendNumber(dst []byte, key string, n int) []byte {
	dst = append(dst, key...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, ',')
}

// appendKeyword appends a member with a string that needs no escape, and a comma. key ends in the
// quotation mark of the string.
func appendKeyword(dst []byte, key, word string) []byte {
	dst = append(dst, key...)
	dst = append(dst, word...)
	return append(dst, '"', ',')
}
