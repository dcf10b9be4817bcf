package syslog_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/syslog"
)

func ExampleDecoder() {
	line := []byte(`<189>29: rtr1: 000033: *Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: Configured from console`)
	receivedAt := time.Date(2023, 3, 1, 18, 48, 51, 0, time.UTC)

	var (
		decoder syslog.Decoder
		message syslog.Message
	)
	decoder.Decode(&message, line, receivedAt)
	fmt.Printf("%s at %s\n", message.Hostname, message.Timestamp)
	fmt.Printf("%s}\n", message.AppendJSON(nil))
	// Output:
	// rtr1 at 2023-03-01T18:48:50.483Z
	// {"timestamp":"2023-03-01T18:48:50.483Z","hostname":"rtr1","facility":"local7","severity":"notice","message":"29: 000033: %SYS-5-CONFIG_I: Configured from console"}
}

// stdout is a packet.Sink that prints records.
type stdout struct{}

func (stdout) Buffer() []byte    { return nil }
func (stdout) Commit(buf []byte) { fmt.Printf("%s", buf) }
func (stdout) Flush()            {}

func ExampleHandler() {
	handler := syslog.NewHandler("lab", 0)
	handler.Location = time.UTC // for timestamps without a zone

	batch := packet.NewBatch(64, 0, stdout{})
	batch.Reset(time.Date(2023, 10, 11, 22, 14, 15, 3_000_000, time.UTC))
	batch.Datagrams = append(batch.Datagrams, packet.Datagram{
		Payload: []byte("<13>Oct 11 22:14:15 host1 alice: hello\n"),
		Source:  netip.MustParseAddrPort("192.0.2.1:40000"),
	})
	handler.Handle(batch)
	// Output:
	// {"timestamp":"2023-10-11T22:14:15Z","hostname":"host1","appname":"alice","facility":"user","severity":"notice","message":"hello","received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.1:40000","listener":"lab","shard":0,"format":"rfc3164"}
}

func ExampleRFC5424Handler() {
	handler := syslog.RFC5424Handler{Location: time.UTC}

	batch := packet.NewBatch(64, 0, stdout{})
	batch.Reset(time.Date(2023, 10, 11, 22, 14, 15, 3_000_000, time.UTC))
	batch.Datagrams = append(batch.Datagrams, packet.Datagram{
		Payload: []byte("<13>Oct 11 22:14:15 host1 alice[7]: hello\n"),
		Source:  netip.MustParseAddrPort("192.0.2.1:40000"),
	})
	handler.Handle(batch)
	// Output:
	// <13>1 2023-10-11T22:14:15Z host1 alice 7 - [udpshard@32473 ip="192.0.2.1" port="40000"] hello
}
