package dns

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// message builds a message from the header's flags word, the four counts, and parts.
func message(flags uint16, counts [4]uint16, parts ...string) []byte {
	m := binary.BigEndian.AppendUint16([]byte{0x12, 0x34}, flags)
	for _, n := range counts {
		m = binary.BigEndian.AppendUint16(m, n)
	}
	return append(m, strings.Join(parts, "")...)
}

const (
	wwwTest = "\x03www\x04test\x00"
	askA    = wwwTest + "\x00\x01\x00\x01"
	opt     = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
	aRecord = "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x01\x02\x03\x04"
)

// decodeTests are messages with the expected result: "drop", or the rcode of the reply, and whether
// the reply has the question and an OPT record.
var decodeTests = []struct {
	name    string
	message []byte
	want    string
}{
	{"plain", message(0, [4]uint16{1}, askA), "NOERROR question"},
	{"response", message(flagQR, [4]uint16{1}, askA), "drop"},
	{"all flags but QR", message(0x07ff, [4]uint16{1}, askA), "NOERROR question"},
	{"empty", nil, "drop"},
	{"11 octets", message(0, [4]uint16{})[:11], "drop"},
	{"header only", message(0, [4]uint16{}), "FORMERR"},
	{"no question, OPT", message(0, [4]uint16{0, 0, 0, 1}, opt), "FORMERR opt"},
	{"question missing", message(0, [4]uint16{1}), "FORMERR"},
	{"two questions", message(0, [4]uint16{2}, askA, askA), "FORMERR"},
	{"question cut", message(0, [4]uint16{1}, askA[:len(askA)-1]), "FORMERR"},
	{"name cut", message(0, [4]uint16{1}, "\x03ww"), "FORMERR"},
	{"pointer", message(0, [4]uint16{1}, "\xc0\x0c\x00\x01\x00\x01"), "FORMERR"},
	{"pointer at the end", message(0, [4]uint16{1}, "\x03www\xc0\x0c\x00\x01\x00\x01"), "FORMERR"},
	{"label type 01", message(0, [4]uint16{1}, "\x41\x00\x00\x01\x00\x01"), "FORMERR"},
	{"label type 10", message(0, [4]uint16{1}, "\x81\x00\x00\x01\x00\x01"), "FORMERR"},
	{"name of 255", message(0, [4]uint16{1}, strings.Repeat("\x01a", 127), "\x00\x00\x01\x00\x01"), "NOERROR question"},
	{"name of 256", message(0, [4]uint16{1}, strings.Repeat("\x3f"+strings.Repeat("a", 63), 3), "\x3e", strings.Repeat("a", 62), "\x00\x00\x01\x00\x01"), "FORMERR"},
	{"root", message(0, [4]uint16{1}, "\x00\x00\x02\x00\x01"), "NOERROR question"},
	{"garbage behind", message(0, [4]uint16{1}, askA, "x"), "FORMERR question"},
	{"garbage behind OPT", message(0, [4]uint16{1, 0, 0, 1}, askA, opt, "x"), "FORMERR question"},
	{"record missing", message(0, [4]uint16{1, 0, 0, 1}, askA), "FORMERR question"},
	{"record cut", message(0, [4]uint16{1, 1}, askA, aRecord[:len(aRecord)-1]), "FORMERR question"},
	{"record's name points forward", message(0, [4]uint16{1, 1}, askA, "\xc0\xff", aRecord[2:]), "FORMERR question"},
	{"record's name of 255", message(0, [4]uint16{1, 1}, askA, strings.Repeat("\x01a", 127), "\x00", aRecord[2:]), "NOERROR question"},
	{"record's name of 256", message(0, [4]uint16{1, 1}, askA, strings.Repeat("\x3f"+strings.Repeat("a", 63), 3), "\x3e", strings.Repeat("a", 62), "\x00", aRecord[2:]), "FORMERR question"},
	{"answer", message(0, [4]uint16{1, 1}, askA, aRecord), "NOERROR question"},
	{"authority", message(0, [4]uint16{1, 0, 1}, askA, aRecord), "NOERROR question"},
	{"additional", message(0, [4]uint16{1, 0, 0, 1}, askA, aRecord), "NOERROR question"},
	{"OPT", message(0, [4]uint16{1, 0, 0, 1}, askA, opt), "NOERROR question opt"},
	{"OPT first", message(0, [4]uint16{1, 0, 0, 2}, askA, opt, aRecord), "NOERROR question opt"},
	{"OPT last", message(0, [4]uint16{1, 0, 0, 2}, askA, aRecord, opt), "NOERROR question opt"},
	{"two OPTs", message(0, [4]uint16{1, 0, 0, 2}, askA, opt, opt), "FORMERR question"},
	{"OPT of a name", message(0, [4]uint16{1, 0, 0, 1}, askA, "\x01a", opt), "FORMERR question"},
	{"OPT of the root by a pointer", message(0, [4]uint16{1, 0, 0, 1}, askA, "\xc0\x15", opt[1:]), "FORMERR question"},
	{"OPT as an answer", message(0, [4]uint16{1, 1}, askA, opt), "FORMERR question"},
	{"option", message(0, [4]uint16{1, 0, 0, 1}, askA, opt[:9], "\x00\x05\xff\xff\x00\x01x"), "NOERROR question opt"},
	{"option cut", message(0, [4]uint16{1, 0, 0, 1}, askA, opt[:9], "\x00\x05\x00\x0a\x00\x02x"), "FORMERR question"},
	{"option's header cut", message(0, [4]uint16{1, 0, 0, 1}, askA, opt[:9], "\x00\x03\x00\x0a\x00"), "FORMERR question"},
	{"EDNS 1", message(0, [4]uint16{1, 0, 0, 1}, askA, "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"), "BADVERS question opt"},
	{"EDNS 1, garbage behind", message(0, [4]uint16{1, 0, 0, 1}, askA, "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00x"), "FORMERR question"},
	{"EDNS 1, NOTIFY", message(4<<11, [4]uint16{1, 0, 0, 1}, askA, "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00"), "BADVERS question opt"},
	{"IQUERY", message(1<<11, [4]uint16{0, 1}, aRecord), "NOTIMP"},
	{"STATUS", message(2<<11, [4]uint16{1}, askA), "NOTIMP question"},
	{"NOTIFY", message(4<<11|flagAA, [4]uint16{1, 0, 0, 1}, askA, opt), "NOTIMP question opt"},
	{"UPDATE", message(5<<11, [4]uint16{1}, askA), "NOTIMP question"},
	{"UPDATE that cannot be read", message(5<<11, [4]uint16{1}, "\xff"), "NOTIMP"},
	{"AXFR", message(0, [4]uint16{1}, wwwTest, "\x00\xfc\x00\x01"), "NOTIMP question"},
	{"IXFR", message(0, [4]uint16{1}, wwwTest, "\x00\xfb\x00\x01"), "NOTAUTH question"},
	{"type 0", message(0, [4]uint16{1}, wwwTest, "\x00\x00\x00\x01"), "NOTIMP question"},
	{"class CH", message(0, [4]uint16{1}, wwwTest, "\x00\x01\x00\x03"), "REFUSED question"},
	{"class ANY", message(0, [4]uint16{1}, wwwTest, "\x00\x01\x00\xff"), "NOERROR question"},
	{"class NONE", message(0, [4]uint16{1}, wwwTest, "\x00\x01\x00\xfe"), "REFUSED question"},
	{"class 0", message(0, [4]uint16{1}, wwwTest, "\x00\x01\x00\x00"), "REFUSED question"},
}

func TestDecode(t *testing.T) {
	z := mustZones(t, testZone, ". 1 SOA . . 1 2 3 4 5\n. 1 NS .\n")
	var q query // shared: decode must reset every field
	for _, tt := range decodeTests {
		t.Run(tt.name, func(t *testing.T) {
			rcode, ok := q.decode(tt.message)
			got := "drop"
			if ok {
				got = rcode.String()
				if q.name != nil {
					got += " question"
				}
				if q.edns {
					got += " opt"
				}
				m := askZones(t, z, tt.message, MaxUDPSize)
				if rcode != rcodeNoError && (m.Rcode != int(rcode) || m.Authoritative || len(m.Answer)+len(m.Ns) > 0) {
					t.Errorf("reply %v", m)
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDecodedFields(t *testing.T) {
	m := message(flagRD|0x30, [4]uint16{1, 0, 0, 1}, "\x03wWw\x00\x00\x1c\x00\x01",
		"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x16\x00\x03\x00\x00\x00\x0a\x00\x08abcdefgh\x00\x0a\x00\x02xx")
	var q query
	if rcode, ok := q.decode(m); rcode != rcodeNoError || !ok {
		t.Fatal(rcode, ok)
	}
	if q.id != 0x1234 || q.flags != 0x0130 || string(q.name) != "\x03wWw\x00" || q.rtype != 28 || q.class != 1 || q.end != 21 ||
		!q.edns || q.size != 4096 || q.version != 0 || !q.do || string(q.cookie) != "abcdefgh" || q.opcode() != 0 {
		t.Errorf("%+v", q)
	}
	wire, _ := mustZones(t, testZone).appendReply(nil, &q, rcodeNoError, MaxUDPSize, []byte("abcdefghijklmnop"))
	reply := new(miekg.Msg)
	if err := reply.Unpack(wire); err != nil {
		t.Fatal(err)
	}
	options := reply.IsEdns0().Option
	if len(options) != 2 || options[0].String() != "6162636465666768696a6b6c6d6e6f70" || options[1].Option() != miekg.EDNS0EDE {
		t.Errorf("%v", options)
	}
	if reply.Rcode != miekg.RcodeRefused || !reply.IsEdns0().Do() || !reply.RecursionDesired {
		t.Errorf("%v", reply)
	}
}

func TestRepliesWithoutRecords(t *testing.T) {
	var q query
	q.decode(packQuestion(t, "www.test. A", true, MaxUDPSize))
	m := new(miekg.Msg)
	if err := m.Unpack(appendTruncated(nil, &q, []byte("cookiecookiecookie"))); err != nil || !m.Truncated || len(m.Question) != 1 || m.Rcode != 0 {
		t.Errorf("%v, %v", m, err)
	}
	m = new(miekg.Msg)
	if err := m.Unpack(appendError(nil, &q, rcodeBadCookie, []byte("cookiecookiecookie"))); err != nil || m.Rcode != miekg.RcodeBadCookie || len(m.IsEdns0().Option) != 1 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestLower(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for shift := range 9 {
		for length := 0; length <= len(all)-shift; length++ {
			src := all[shift : shift+length]
			dst := make([]byte, length)
			lowerInto(dst, src)
			want := bytes.Map(func(r rune) rune { return r }, nil)
			for _, c := range src {
				if 'A' <= c && c <= 'Z' {
					c |= 0x20
				}
				want = append(want, c)
			}
			if !bytes.Equal(dst, want) {
				t.Fatalf("%x became %x", src, dst)
			}
		}
	}
}
