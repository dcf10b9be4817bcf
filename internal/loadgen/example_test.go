package loadgen_test

import (
	"context"
	"fmt"
	"net"

	"github.com/udpshard/udpshard/internal/loadgen"
)

// Numbered datagrams go to a socket, and a Checker reports which arrived.
func ExampleRun() {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer receiver.Close()
	sent, err := loadgen.Run(context.Background(), loadgen.Config{To: receiver.LocalAddr().String(), Flows: 4, Count: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	checker := loadgen.NewChecker(sent.Run, sent.Flows)
	buf := make([]byte, 2048)
	for range 99 { // the last datagram stays in the queue
		n, _, _ := receiver.ReadFrom(buf)
		fmt.Fprintf(checker, "%s\n", buf[:n])
	}
	total := checker.Report().Total
	fmt.Println(total.Sent, "sent,", total.Arrived, "arrived,", total.Lost, "lost,", total.Reordered, "reordered")
	// Output: 100 sent, 99 arrived, 1 lost, 0 reordered
}
