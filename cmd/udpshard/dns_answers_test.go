package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// answer is the answer to a question, as text by aspect. Lines of sections are sorted, and names
// are in lower case except in the question.
type answer map[string]string

var aspects = []string{"reply", "rcode", "opcode", "flags", "question", "answer", "authority", "additional", "edns"}

// askWithRetry sends a question once for each timeout, until an answer comes.
func askWithRetry(address string, q question, timeouts ...time.Duration) (answer, error) {
	for _, timeout := range timeouts {
		wire, err := exchange(address, q, timeout)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return answer{"reply": "the connection was closed"}, nil
		}
		if err != nil {
			return nil, err
		}
		return parseAnswer(wire), nil
	}
	return answer{"reply": "none"}, nil
}

func exchange(address string, q question, timeout time.Duration) ([]byte, error) {
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
		timeout *= 5
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
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
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	n, err := conn.Read(wire)
	return wire[:n], err
}

func parseAnswer(wire []byte) answer {
	var m dns.Msg
	if err := m.Unpack(wire); err != nil {
		return answer{"reply": fmt.Sprintf("unreadable: %v: %x", err, wire)}
	}
	a := answer{"reply": "one", "size": strconv.Itoa(len(wire)), "opcode": dns.OpcodeToString[m.Opcode], "rcode": dns.RcodeToString[m.Rcode]}
	if m.Rcode == dns.RcodeBadVers { // 16 is also BADSIG, of TSIG
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
	a["answer"], a["authority"] = formatSection(m.Answer), formatSection(m.Ns)
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
	a["additional"] = formatSection(rest)
	return a
}

func formatSection(rrs []dns.RR) string {
	lines := make([]string, len(rrs))
	for i, rr := range rrs {
		lines[i] = strings.ReplaceAll(strings.ToLower(rr.String()), "\t", " ") + "\n"
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// String returns the answer, shortened to 8 lines a section and 160 bytes a line.
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

// differences returns the aspects in which two answers differ.
func (a answer) differences(b answer) []string {
	var names []string
	for _, aspect := range aspects {
		if a[aspect] != b[aspect] {
			names = append(names, aspect)
		}
	}
	return names
}
