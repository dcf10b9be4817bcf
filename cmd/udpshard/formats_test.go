package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/udpshard/udpshard/packet/record"
)

// anyDatagrams returns datagrams of 0 to 8192 bytes: text, line ends, NULs, number signs, and bytes
// outside ASCII.
func anyDatagrams() [][]byte {
	const longest = 8192 // the default of max_datagram
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	all := [][]byte{
		{}, []byte("\n"), []byte("\r\n\r\n"), {0, 0}, []byte("#"), []byte("#012#"), every, {},
		[]byte("<34>Oct 11 22:14:15 host1 su[230]: 'su root'\nfailed\n"), []byte("<14>1 - h\n"),
		[]byte("<165>1 2023-10-11T22:14:15.123456789Z h a 1 m [x@32473 k=\"\\\"\n\xff\"] \xEF\xBB\xBFé\x00\n"),
		bytes.Repeat([]byte{0xff}, longest), bytes.Repeat([]byte("\n\x00"), longest/2), bytes.Repeat(every, longest/256),
	}
	random := rand.New(rand.NewPCG(5, 14))
	parts := []string{"\n", "\r\n", "\x00", "#", "#01", "\xff", "\x7f", "é", "an ordinary line of text ", "<14>"}
	for range 150 {
		var datagram []byte
		for range random.IntN(400) {
			datagram = append(datagram, parts[random.IntN(len(parts))]...)
			datagram = append(datagram, byte(random.Uint32()))
		}
		all = append(all, datagram[:min(len(datagram), longest)])
	}
	return all
}

// sendAll sends datagrams from one socket, and waits often enough to stay within a receive buffer.
func (p *process) sendAll(address string, datagrams [][]byte) {
	p.t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	for i, datagram := range datagrams {
		if _, err := conn.Write(datagram); err != nil {
			p.t.Fatal(err)
		}
		if (i+1)%16 == 0 {
			p.waitForReceived(i + 1)
		}
	}
	p.waitForDelivered(len(datagrams))
}

// Records in the format original are the datagrams: newlines, NULs, other bytes, nothing at all.
func TestOriginalFormatKeepsEachByte(t *testing.T) {
	for _, output := range []string{"file", "stdout"} {
		t.Run(output, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "records")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			spec := output
			if output == "file" {
				spec = "file:" + path
			}
			address := freePort(t)
			p := startServe(t, func(cmd *exec.Cmd) { cmd.Stdout = file },
				"--listen", address, "--shards", "2", "--format", "original", "--output", spec)
			sent := anyDatagrams()
			p.sendAll(address, append(sent, bytes.Repeat([]byte("\n"), 9000)))
			sent = append(sent, bytes.Repeat([]byte("\n"), 8192)) // truncated
			if total := p.total(); total.Unparsed != 0 || total.Truncated != 1 {
				t.Errorf("got %d unparsed, %d truncated, want 0, 1", total.Unparsed, total.Truncated)
			}
			p.wantStop()
			n := 0
			lines := countLines(t, path, func(line []byte) {
				if n < len(sent) {
					if got := record.Unescape(line[:len(line)-1]); !bytes.Equal(got, sent[n]) {
						t.Errorf("datagram %d: got %.100q, want %.100q", n, got, sent[n])
					}
				}
				n++
			})
			if lines != len(sent) {
				t.Errorf("got %d records of %d datagrams", lines, len(sent))
			}
		})
	}
}

// Records in the format rfc5424 are lines that a strict parser accepts, with the source.
func TestRFC5424FormatIsStrict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--shards", "2", "--format", "rfc5424", "--output", "file:"+path)
	sent := anyDatagrams()
	p.sendAll(address, sent)
	p.wantStop()
	parser := rfc5424.NewParser(rfc5424.WithCompliantMsg())
	hosts := make(map[string]int)
	lines := countLines(t, path, func(line []byte) {
		parsed, err := parser.Parse(line[:len(line)-1])
		if err != nil {
			t.Errorf("%q: %v", line, err)
			return
		}
		m := parsed.(*rfc5424.SyslogMessage)
		if m.StructuredData == nil || (*m.StructuredData)["udpshard@32473"]["ip"] != "127.0.0.1" {
			t.Errorf("no source in %q", line)
		}
		if m.Hostname != nil {
			hosts[*m.Hostname]++
		}
	})
	if lines != len(sent) || hosts["host1"] != 1 || hosts["h"] != 2 {
		t.Errorf("got %d records of %d datagrams, from hosts %v", lines, len(sent), hosts)
	}
}
