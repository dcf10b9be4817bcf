package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// question is one of testdata/dns/questions.txt, or a message that no such
// line can say.
type question struct {
	text string
	wire []byte
	tcp  bool
}

// questions reads the file, and adds the messages that are no questions.
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
			t.Errorf("questions.txt: %q is there twice", line)
		}
		all = append(all, q)
	}
	return append(all, misshapen()...)
}

// parseQuestion understands kdig's arguments, as far as questions.txt has
// them.
func parseQuestion(line string) (question, error) {
	q := question{text: line}
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: 4660, RecursionDesired: true, AuthenticatedData: true}}
	asked := dns.Question{Qclass: dns.ClassINET}
	var opt *dns.OPT
	edns := func() *dns.OPT {
		if opt == nil {
			opt = &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
			opt.SetUDPSize(4096) // kdig's
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

// misshapen are messages that no client sends by intent.
func misshapen() []question {
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

// answer is what came back, by aspect, in a form that can be compared and
// read: sections are sets, so their lines are in order; names are in lower
// case but in the question.
type answer map[string]string

var aspects = []string{"reply", "rcode", "opcode", "flags", "question", "answer", "authority", "additional", "edns"}

// ask sends a question to an address, and again if nothing comes.
func ask(address string, q question, patiences ...time.Duration) (answer, error) {
	for _, patience := range patiences {
		wire, err := exchange(address, q, patience)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return answer{"reply": "the connection was closed"}, nil
		}
		if err != nil {
			return nil, err
		}
		return readAnswer(wire), nil
	}
	return answer{"reply": "none"}, nil
}

func exchange(address string, q question, patience time.Duration) ([]byte, error) {
	network := "udp"
	if q.tcp {
		network = "tcp"
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	wire := make([]byte, 65535)
	if q.tcp {
		patience *= 5
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q.wire))), q.wire...)); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(conn, wire[:2]); err != nil {
			return nil, err
		}
		wire = wire[:binary.BigEndian.Uint16(wire)]
		_, err := io.ReadFull(conn, wire)
		return wire, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	n, err := conn.Read(wire)
	return wire[:n], err
}

func readAnswer(wire []byte) answer {
	var m dns.Msg
	if err := m.Unpack(wire); err != nil {
		return answer{"reply": fmt.Sprintf("unreadable: %v: %x", err, wire)}
	}
	a := answer{"reply": "one", "size": strconv.Itoa(len(wire)), "opcode": dns.OpcodeToString[m.Opcode], "rcode": dns.RcodeToString[m.Rcode]}
	if m.Rcode == dns.RcodeBadVers { // 16 is BADSIG, too, in TSIG
		a["rcode"] = "BADVERS"
	}
	if a["opcode"] == "" {
		a["opcode"] = strconv.Itoa(m.Opcode)
	}
	if m.Id != 4660 {
		a["reply"] = fmt.Sprintf("one, of ID %d", m.Id)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"QR", m.Response}, {"AA", m.Authoritative}, {"TC", m.Truncated}, {"RD", m.RecursionDesired}, {"RA", m.RecursionAvailable}, {"Z", m.Zero}, {"AD", m.AuthenticatedData}, {"CD", m.CheckingDisabled}} {
		if flag.set {
			a["flags"] += flag.name + " "
		}
	}
	for _, q := range m.Question {
		a["question"] += strings.ReplaceAll(q.String(), "\t", " ") + "\n"
	}
	a["answer"], a["authority"] = sectionOf(m.Answer), sectionOf(m.Ns)
	var rest []dns.RR
	for _, rr := range m.Extra {
		opt, ok := rr.(*dns.OPT)
		if !ok {
			rest = append(rest, rr)
			continue
		}
		a["edns"] += fmt.Sprintf("version %d, size %d, flags %04x", opt.Version(), opt.UDPSize(), opt.Hdr.Ttl&0xffff)
		for _, option := range opt.Option {
			a["edns"] += fmt.Sprintf(", option %d %s", option.Option(), option)
		}
		a["edns"] += "\n"
	}
	a["additional"] = sectionOf(rest)
	return a
}

func sectionOf(rrs []dns.RR) string {
	lines := make([]string, len(rrs))
	for i, rr := range rrs {
		lines[i] = strings.ReplaceAll(strings.ToLower(rr.String()), "\t", " ") + "\n"
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// String leaves out what makes it long.
func (a answer) String() string {
	if a["rcode"] == "" {
		return a["reply"] + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s %s(%s bytes)\n", a["reply"], a["rcode"], a["opcode"], a["flags"], a["size"])
	for _, aspect := range aspects[4:] {
		lines := strings.Split(strings.TrimSpace(a[aspect]), "\n")
		if lines[0] == "" {
			continue
		}
		const most = 8
		for i, line := range lines {
			if i == most {
				fmt.Fprintf(&b, "  %-11s … %d lines\n", "", len(lines))
				break
			}
			if i > 0 {
				aspect = ""
			}
			if len(line) > 160 {
				line = line[:160] + "…"
			}
			fmt.Fprintf(&b, "  %-11s %s\n", aspect, line)
		}
	}
	return b.String()
}

// differs names the aspects in which two answers are not equal.
func (a answer) differs(b answer) []string {
	var names []string
	for _, aspect := range aspects {
		if a[aspect] != b[aspect] {
			names = append(names, aspect)
		}
	}
	return names
}

// compared is a question with the answers of two servers.
type compared struct {
	question
	first, second answer
}

// compare asks two servers all questions.
func compareAnswers(t *testing.T, first, second string) []compared {
	t.Helper()
	asked := questions(t)
	all := make([]compared, len(asked))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range next {
				c := compared{question: asked[i]}
				var err1, err2 error
				// What two are silent on costs the time of both waits.
				c.first, err1 = ask(first, c.question, 100*time.Millisecond, 400*time.Millisecond)
				c.second, err2 = ask(second, c.question, 100*time.Millisecond, 400*time.Millisecond)
				if c.first["reply"] != c.second["reply"] && errors.Join(err1, err2) == nil { // is one silent, or late?
					c.first, err1 = ask(first, c.question, 2*time.Second)
					c.second, err2 = ask(second, c.question, 2*time.Second)
				}
				if err := errors.Join(err1, err2); err != nil {
					t.Errorf("%s: %v", c.text, err)
				}
				all[i] = c
			}
		})
	}
	for i := range asked {
		next <- i
	}
	close(next)
	workers.Wait()
	return all
}

// wanted is a difference between our answers and Knot's that is meant.
type wanted struct{ aspects, why string }

// wantedDifferences reads the table in docs/dns.md: questions, the aspects
// in which their answers differ, and why.
func wantedDifferences(t *testing.T) map[string]wanted {
	t.Helper()
	text, err := os.ReadFile("../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## Compared with Knot\n")
	if !found {
		t.Fatal("docs/dns.md has no section Compared with Knot")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	all := make(map[string]wanted)
	for line := range strings.Lines(part) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		w := wanted{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		if w.why == "" {
			t.Errorf("docs/dns.md gives no reason in %q", line)
		}
		for i, span := range strings.Split(cells[0], "`") {
			if i%2 == 0 {
				continue
			}
			if _, twice := all[span]; twice {
				t.Errorf("docs/dns.md has %q twice", span)
			}
			all[span] = w
		}
	}
	return all
}

// Where our answers are not Knot's, docs/dns.md says in what and why, and
// nothing else.
func TestAnswersMatchKnot(t *testing.T) {
	knot := knotServer(t)
	ours := ourNameServer(t)
	meant := wantedDifferences(t)
	for _, c := range compareAnswers(t, ours, knot) {
		differs := strings.Join(c.first.differs(c.second), ", ")
		want, isWanted := meant[c.text]
		delete(meant, c.text)
		switch {
		case differs == want.aspects:
		case !isWanted:
			t.Errorf("%s: differs in %s\nours %sKnot's %s", c.text, differs, c.first, c.second)
		case differs == "":
			t.Errorf("%s: docs/dns.md says that it differs in %s; it does not", c.text, want.aspects)
		default:
			t.Errorf("%s: docs/dns.md says that it differs in %s; it differs in %s\nours %sKnot's %s", c.text, want.aspects, differs, c.first, c.second)
		}
	}
	for text := range meant {
		t.Errorf("docs/dns.md: nobody asks %q", text)
	}
}

// What NSD answers otherwise than Knot is worth a look (-v) when ours differ.
// The test is of the comparison itself: two good servers agree on most.
func TestNSDAnswersMatchKnot(t *testing.T) {
	all := compareAnswers(t, nsdServer(t), knotServer(t))
	equal := 0
	for _, c := range all {
		if differs := c.first.differs(c.second); len(differs) > 0 {
			t.Logf("%s: differs in %s\nNSD's %sKnot's %s", c.text, strings.Join(differs, ", "), c.first, c.second)
		} else {
			t.Logf("%s: both %s", c.text, c.first)
			equal++
		}
	}
	t.Logf("%d of %d answers are equal", equal, len(all))
	if equal < len(all)/2 {
		t.Error("that is less than half")
	}
}
