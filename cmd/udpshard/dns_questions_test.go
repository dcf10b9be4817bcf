package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// question is a line of testdata/dns/questions.txt, or a malformed message.
type question struct {
	text string
	wire []byte
	tcp  bool
}

// questions returns the lines of questions.txt and the malformed messages.
func questions(t *testing.T) []question {
	t.Helper()
	f, err := os.Open("testdata/dns/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []question
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		q, err := parseQuestion(line)
		if err != nil {
			t.Fatalf("questions.txt: %q: %v", line, err)
		}
		if slices.ContainsFunc(all, func(other question) bool { return other.text == q.text }) {
			t.Errorf("questions.txt has %q twice", line)
		}
		all = append(all, q)
	}
	return append(all, malformedMessages()...)
}

// parseQuestion parses the arguments of kdig that questions.txt has.
func parseQuestion(line string) (question, error) {
	q := question{text: line}
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: 4660, RecursionDesired: true, AuthenticatedData: true}}
	asked := dns.Question{Qclass: dns.ClassINET}
	var opt *dns.OPT
	edns := func() *dns.OPT {
		if opt == nil {
			opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
			opt.SetUDPSize(4096) // as kdig
		}
		return opt
	}
	response, place := false, 0
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		name, value, _ := strings.Cut(words[i], "=")
		number, notNumber := strconv.Atoi(value)
		switch name {
		case "-c":
			i++
			class, ok := dns.StringToClass[words[i]]
			if !ok {
				n, err := strconv.ParseUint(strings.TrimPrefix(words[i], "CLASS"), 10, 16)
				if err != nil {
					return q, err
				}
				class = uint16(n)
			}
			asked.Qclass = class
		case "+tcp":
			q.tcp = true
		case "+rec":
			m.RecursionDesired = true
		case "+norec":
			m.RecursionDesired = false
		case "+aaflag":
			m.Authoritative = true
		case "+tcflag":
			m.Truncated = true
		case "+zflag":
			m.Zero = true
		case "+noadflag":
			m.AuthenticatedData = false
		case "+cdflag":
			m.CheckingDisabled = true
		case "+qr":
			response = true
		case "+opcode":
			opcode, ok := dns.StringToOpcode[value]
			if !ok {
				if notNumber != nil {
					return q, notNumber
				}
				opcode = number
			}
			m.Opcode = opcode
		case "+edns":
			if edns(); value != "" {
				opt.SetVersion(uint8(number))
			}
		case "+bufsize":
			edns().SetUDPSize(uint16(number))
		case "+dnssec":
			edns().SetDo()
		case "+nsid":
			edns().Option = append(edns().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		case "+cookie":
			edns().Option = append(edns().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: value})
		case "+padding":
			edns().Option = append(edns().Option, &dns.EDNS0_PADDING{Padding: make([]byte, number)})
		case "+subnet":
			_, network, err := net.ParseCIDR(value)
			if err != nil {
				return q, err
			}
			ones, _ := network.Mask.Size()
			edns().Option = append(edns().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(ones), Address: network.IP})
		case "+ednsopt":
			code, data, _ := strings.Cut(value, ":")
			n, err := strconv.ParseUint(code, 10, 16)
			bytes, err2 := hex.DecodeString(data)
			if err := errors.Join(err, err2); err != nil {
				return q, err
			}
			edns().Option = append(edns().Option, &dns.EDNS0_LOCAL{Code: uint16(n), Data: bytes})
		default:
			switch {
			case strings.HasPrefix(name, "+") || place > 1:
				return q, fmt.Errorf("unknown word %q", words[i])
			case place == 0:
				asked.Name = words[i]
			default:
				rrtype, ok := dns.StringToType[strings.ToUpper(words[i])]
				if !ok {
					n, err := strconv.ParseUint(strings.TrimPrefix(words[i], "TYPE"), 10, 16)
					if err != nil {
						return q, err
					}
					rrtype = uint16(n)
				}
				asked.Qtype = rrtype
			}
			place++
		}
	}
	if place != 2 {
		return q, errors.New("needs a name and a type")
	}
	m.Question = []dns.Question{asked}
	if opt != nil {
		m.Extra = []dns.RR{opt}
	}
	m.Response = response
	var err error
	q.wire, err = m.Pack()
	return q, err
}

// malformedMessages returns messages that break the rules of DNS.
func malformedMessages() []question {
	var all []question
	add := func(text string, wire []byte) { all = append(all, question{text: "message: " + text, wire: wire}) }
	addTCP := func(text string, wire []byte) {
		all = append(all, question{text: "message by TCP: " + text, wire: wire, tcp: true})
	}
	// The header: ID, flags, QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
	header := func(flags uint16, counts ...uint16) []byte {
		wire := binary.BigEndian.AppendUint16([]byte{0x12, 0x34}, flags)
		for _, n := range counts {
			wire = binary.BigEndian.AppendUint16(wire, n)
		}
		return wire
	}
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	name := []byte("\x01a\x07example\x00")
	inA := []byte{0, 1, 0, 1}
	asked := join(name, inA)
	opt := func(ttl [4]byte, data ...byte) []byte {
		return join([]byte{0, 0, 41, 4, 208}, ttl[:], []byte{0, byte(len(data))}, data)
	}
	plain := [4]byte{}
	record := join(name, inA, []byte{0, 0, 0, 60, 0, 4, 192, 0, 2, 1})
	const rd = 0x0100

	add("1 byte", []byte{0x12})
	add("11 bytes", header(rd, 1, 0, 0, 0)[:11])
	add("a header alone, no question", header(rd, 0, 0, 0, 0))
	add("a header alone that claims a question", header(rd, 1, 0, 0, 0))
	add("no question, with EDNS", join(header(rd, 0, 0, 0, 1), opt(plain)))
	add("two questions", join(header(rd, 2, 0, 0, 0), asked, asked))
	add("two questions claimed, one there", join(header(rd, 2, 0, 0, 0), asked))
	add("a name that is cut", join(header(rd, 1, 0, 0, 0), name[:5]))
	add("a question without class", join(header(rd, 1, 0, 0, 0), name, inA[:2]))
	add("a question with half a class", join(header(rd, 1, 0, 0, 0), name, inA[:3]))
	add("a byte after the question", join(header(rd, 1, 0, 0, 0), asked, []byte{0}))
	add("a name of a pointer to itself", join(header(rd, 1, 0, 0, 0), []byte{0xc0, 12}, inA))
	add("a name of a pointer forward", join(header(rd, 1, 0, 0, 0), []byte{0xc0, 18}, inA, name))
	add("a name that ends in a pointer into the header", join(header(rd, 1, 0, 0, 0), []byte{1, 'a', 0xc0, 4}, inA))
	add("a label type of 0x40", join(header(rd, 1, 0, 0, 0), []byte{0x41, 'a', 0}, inA))
	add("a label type of 0x80", join(header(rd, 1, 0, 0, 0), []byte{0x81, 'a', 0}, inA))
	long := make([]byte, 0, 300)
	for range 4 {
		long = append(append(long, 63), strings.Repeat("x", 63)...)
	}
	add("a name of 257 bytes", join(header(rd, 1, 0, 0, 0), long, []byte{0}, inA))
	add("a name of 256 bytes", join(header(rd, 1, 0, 0, 0), long[:192], []byte{62}, long[193:193+62], []byte{0}, inA))
	add("a name of 255 bytes, out of zone", join(header(rd, 1, 0, 0, 0), long[:192], []byte{61}, long[193:193+61], []byte{0}, inA))
	add("an answer in the question", join(header(rd, 1, 1, 0, 0), asked, record))
	add("an authority in the question", join(header(rd, 1, 0, 1, 0), asked, record))
	add("an additional record that is not OPT", join(header(rd, 1, 0, 0, 1), asked, record))
	add("an additional record before OPT", join(header(rd, 1, 0, 0, 2), asked, record, opt(plain)))
	add("an answer claimed and not there", join(header(rd, 1, 1, 0, 0), asked))
	add("an additional record claimed and not there", join(header(rd, 1, 0, 0, 1), asked))
	add("an additional record that is cut", join(header(rd, 1, 0, 0, 1), asked, record[:len(record)-2]))
	add("OPT in the answer section", join(header(rd, 1, 1, 0, 0), asked, opt(plain)))
	add("two OPT", join(header(rd, 1, 0, 0, 2), asked, opt(plain), opt(plain)))
	add("OPT owned by a name", join(header(rd, 1, 0, 0, 1), asked, name, opt(plain)[1:]))
	add("OPT with a size of 0", join(header(rd, 1, 0, 0, 1), asked, []byte{0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0}))
	add("OPT that is cut", join(header(rd, 1, 0, 0, 1), asked, opt(plain)[:7]))
	add("OPT whose data is shorter than it says", join(header(rd, 1, 0, 0, 1), asked, []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4}))
	add("OPT with an option longer than the data", join(header(rd, 1, 0, 0, 1), asked, opt(plain, 0, 3, 0, 9, 1)))
	add("OPT with an option's code alone", join(header(rd, 1, 0, 0, 1), asked, opt(plain, 0, 3)))
	add("OPT with an extended rcode", join(header(rd, 1, 0, 0, 1), asked, opt([4]byte{5, 0, 0, 0})))
	add("OPT with unknown flags", join(header(rd, 1, 0, 0, 1), asked, opt([4]byte{0, 0, 0x7f, 0xff})))
	add("OPT of version 1 with a cut option", join(header(rd, 1, 0, 0, 1), asked, opt([4]byte{0, 1, 0, 0}, 0, 3)))
	add("OPT with a client subnet that is no address", join(header(rd, 1, 0, 0, 1), asked, opt(plain, 0, 8, 0, 4, 0, 9, 99, 0)))
	add("OPT with a cookie of 7 bytes", join(header(rd, 1, 0, 0, 1), asked, opt(plain, 0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7)))
	add("a byte after OPT", join(header(rd, 1, 0, 0, 1), asked, opt(plain), []byte{0}))
	add("an rcode in the question", join(header(rd|5, 1, 0, 0, 0), asked))
	add("a response of 12 bytes", header(0x8000|rd, 0, 0, 0, 0))
	add("a response with opcode STATUS", join(header(0x9000|rd, 1, 0, 0, 0), asked))
	add("opcode 7 without a question", header(0x3800, 0, 0, 0, 0))
	add("NOTIFY without a question", header(0x2000, 0, 0, 0, 0))
	add("UPDATE with the class NONE", join(header(0x2800, 1, 0, 0, 0), []byte("\x07example\x00\x00\x06\x00\xfe")))
	addTCP("1 byte", []byte{0x12})
	addTCP("a header alone, no question", header(rd, 0, 0, 0, 0))
	addTCP("a byte after the question", join(header(rd, 1, 0, 0, 0), asked, []byte{0}))
	addTCP("OPT of version 1", join(header(rd, 1, 0, 0, 1), asked, opt([4]byte{0, 1, 0, 0})))
	return all
}

// kdig and parseQuestion make the same message of each line of questions.txt.
func TestQuestionsMatchKdig(t *testing.T) {
	kdig := requireProgram(t, "kdig", "knot-dnsutils")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan []byte, 1)
	go func() { // a server that refuses every question
		buf := make([]byte, 65535)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			got <- append([]byte(nil), buf[:n]...)
			buf[2] |= 0x80
			buf[3] = buf[3]&0xf0 | dns.RcodeRefused
			conn.WriteTo(buf[:n], from)
		}
	}()
	host, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	for _, q := range questions(t) {
		if q.tcp || strings.HasPrefix(q.text, "message") || strings.Contains(q.text, "XFR") || strings.Contains(q.text, "+opcode") || strings.Contains(q.text, "+qr") {
			continue
		}
		args := append([]string{"@" + host, "-p", port, "+ignore", "+notcp", "+retry=0", "+time=1"}, strings.Fields(q.text)...)
		out, err := exec.Command(kdig, args...).CombinedOutput()
		var asked, want dns.Msg
		select {
		case wire := <-got:
			if err := asked.Unpack(wire); err != nil {
				t.Errorf("%s: %v", q.text, err)
				continue
			}
		default:
			t.Errorf("%s: kdig sent no question: %v: %s", q.text, err, out)
			continue
		}
		if err := want.Unpack(q.wire); err != nil {
			t.Fatal(err)
		}
		asked.Id = want.Id
		if !strings.EqualFold(asked.String(), want.String()) { // kdig sends names in lower case
			t.Errorf("%s: kdig sends\n%vparseQuestion returns\n%v", q.text, &asked, &want)
		}
	}
}
