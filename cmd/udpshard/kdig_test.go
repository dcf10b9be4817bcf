package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A line of questions.txt pasted to kdig asks what the test asks.
func TestQuestionsMatchKdig(t *testing.T) {
	kdig := need(t, "kdig", "knot-dnsutils")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan []byte, 1)
	go func() { // a server that has heard it, and knows nothing
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
			t.Errorf("%s: kdig asked nothing: %v: %s", q.text, err, out)
			continue
		}
		if err := want.Unpack(q.wire); err != nil {
			t.Fatal(err)
		}
		asked.Id = want.Id
		if !strings.EqualFold(asked.String(), want.String()) { // kdig writes in lower case
			t.Errorf("%s: kdig asks\n%vthe test asks\n%v", q.text, &asked, &want)
		}
	}
}
