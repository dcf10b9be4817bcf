package syslog

import (
	"net/netip"
	"testing"
	"time"

	"github.com/udpshard/udpshard/packet"
)

// benchLines have the lengths and forms that devices send. A run uses all lines in turn, so that
// branch prediction cannot learn a line.
var benchLines = map[string][]string{
	"rfc5424": {
		`<38>1 2023-10-11T22:14:15.003182+02:00 web-01.example.net sshd 812334 - - Failed password for invalid user admin from 192.0.2.77 port 51122 ssh2`,
		`<30>1 2023-10-11T22:14:15.104Z db02 systemd 1 - - Started Session 41 of User postgres.`,
		`<165>1 2023-10-11T22:14:15.220841Z edge7 nginx 2211 access [req@32473 id="9f3a" vhost="shop.example.net"] 198.51.100.4 "GET /cart HTTP/1.1" 200 5123`,
		`<14>1 2023-10-11T22:14:16+00:00 WIN-DC1 Microsoft-Windows-Security-Auditing 712 - [NXLOG@14506 EventID="4624" Channel="Security" Keywords="-9214364837600034816"] An account was successfully logged on.`,
		`<86>1 2023-10-11T22:14:16.9-05:00 bastion sudo - - - deploy : TTY=pts/3 ; PWD=/srv/app ; USER=root ; COMMAND=/bin/systemctl reload app`,
		`<134>1 - lb4 haproxy 918 - - 203.0.113.9:52100 [11/Oct/2023:22:14:16.331] fe~ app/srv3 0/0/1/12/13 200 1280 - - ---- 112/80/4/1/0 0/0 "GET / HTTP/1.1"`,
	},
	"rfc3164": {
		`<38>Oct 11 22:14:15 web-01 sshd[812334]: Failed password for invalid user admin from 192.0.2.77 port 51122 ssh2`,
		`<30>Oct 11 22:14:15 db02 systemd[1]: Started Session 41 of User postgres.`,
		`<189>4711: *Oct 11 22:14:16.483 UTC: %SEC-6-IPACCESSLOGP: list 101 denied tcp 192.0.2.9(4312) -> 198.51.100.7(22), 1 packet`,
		`<166>Oct 11 2023 22:14:16 fw01 : %ASA-6-302013: Built inbound TCP connection 91823 for outside:203.0.113.5/52100 (203.0.113.5/52100) to inside:10.0.0.5/443 (10.0.0.5/443)`,
		`<134>Oct 11 22:14:17 filterlog[68123]: 5,,,1000000103,igb0,match,block,in,4,0x0,,64,12345,0,DF,6,tcp,60,198.51.100.23,203.0.113.10,51234,22,0,S,3221234567,,64240,,mss`,
		`<166>2023-10-11T22:14:15.003Z esx01 Hostd: info hostd[2099552] [Originator@6876 sub=Vimsvc.ha-eventmgr] Event 3412 : User root@127.0.0.1 logged in`,
		`<22>Oct 11 22:14:18 mx3 postfix/smtpd[2201]: connect from unknown[198.51.100.99]`,
		`<4>Oct 11 22:14:18 gw kernel: [81233.120] nf: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=60 PROTO=TCP SPT=4431 DPT=23`,
	},
	"vendor": {
		`<189>date=2023-10-11 time=22:14:15 devname="FGT-EDGE-1" devid="FGT60E0000000001" eventtime=1697055255123456789 tz="+0200" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" srcip=10.1.100.11 srcport=58012 srcintf="port12" dstip=203.0.113.35 dstport=443 action="close" sentbyte=1188 rcvdbyte=1224`,
		`<30>device_name="SFW" timestamp="2023-10-11T22:14:15+0200" device_model="XGS116" device_serial_id="X1160000000" log_id="010101600001" log_type="Firewall" log_component="Firewall Rule" log_subtype="Allowed" severity="Information" src_ip="10.0.0.4" dst_ip="203.0.113.8"`,
		`<30>2023:10:11-22:14:15 utm-1 httpproxy[5323]: id="0001" severity="info" sys="SecureWeb" sub="http" name="http access" action="pass" method="GET" srcip="10.0.0.9" dstip="203.0.113.2"`,
		"<14>Oct 11 22:14:15 WIN01 MSWinEventLog\t1\tSecurity\t4711\tWed Oct 11 22:14:15 2023\t4624\tMicrosoft-Windows-Security-Auditing\tN/A\tN/A\tSuccess Audit\tWIN01\tLogon",
	},
}

func benchMix() [][]byte {
	var mix [][]byte
	longest := 0
	for _, lines := range benchLines {
		longest = max(longest, len(lines))
	}
	for i := range longest {
		for _, form := range []string{"rfc5424", "rfc3164", "vendor"} {
			if i < len(benchLines[form]) {
				mix = append(mix, []byte(benchLines[form][i]))
			}
		}
	}
	return mix
}

func forms(b *testing.B, run func(b *testing.B, lines [][]byte)) {
	for _, form := range []string{"rfc5424", "rfc3164", "vendor"} {
		var lines [][]byte
		for _, l := range benchLines[form] {
			lines = append(lines, []byte(l))
		}
		b.Run(form, func(b *testing.B) { run(b, lines) })
	}
	b.Run("mix", func(b *testing.B) { run(b, benchMix()) })
}

func setMean(b *testing.B, lines [][]byte) {
	total := 0
	for _, l := range lines {
		total += len(l)
	}
	b.SetBytes(int64(total / len(lines)))
	b.ReportAllocs()
}

func BenchmarkDecode(b *testing.B) {
	forms(b, func(b *testing.B, lines [][]byte) {
		d, m, i := Decoder{Location: time.UTC}, Message{}, 0
		setMean(b, lines)
		for b.Loop() {
			d.Decode(&m, lines[i], receivedAt)
			if i++; i == len(lines) {
				i = 0
			}
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	forms(b, func(b *testing.B, lines [][]byte) {
		decoders, messages := make([]Decoder, len(lines)), make([]Message, len(lines))
		for i := range lines {
			decoders[i].Decode(&messages[i], lines[i], receivedAt)
		}
		buf, i := make([]byte, 0, 8192), 0
		setMean(b, lines)
		for b.Loop() {
			buf = messages[i].AppendJSON(buf[:0])
			if i++; i == len(lines) {
				i = 0
			}
		}
	})
}

// BenchmarkHandler is decoding, encoding and the tail, a batch of 64 at a
// time, told for each datagram.
func BenchmarkHandler(b *testing.B) { benchHandler(b, NewHandler("syslog", 0)) }

// BenchmarkRFC5424Handler is the same for lines in RFC 5424.
func BenchmarkRFC5424Handler(b *testing.B) { benchHandler(b, new(RFC5424Handler)) }

func benchHandler(b *testing.B, h packet.Handler) {
	forms(b, func(b *testing.B, lines [][]byte) {
		batch := packet.NewBatch(64, 0, nil)
		batch.Reset(receivedAt)
		source := netip.MustParseAddrPort("192.0.2.1:51423")
		for i := range 64 {
			batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: lines[i%len(lines)], Source: source})
		}
		datagrams := batch.Datagrams
		setMean(b, lines)
		for n := b.N; n > 0; n -= 64 {
			batch.Reset(receivedAt)
			batch.Datagrams = datagrams[:min(n, 64)]
			h.Handle(batch)
		}
	})
}
