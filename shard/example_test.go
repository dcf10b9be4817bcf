package shard_test

import (
	"bytes"
	"context"
	"fmt"
	"net"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/shard"
)

// A server that answers in upper case, on one socket and thread per CPU.
func ExampleListen() {
	group, err := shard.Listen(shard.Config{
		Address: "127.0.0.1:0",
		Handler: func(int) packet.Handler {
			return packet.HandlerFunc(func(b *packet.Batch) {
				for i, d := range b.Datagrams {
					b.Reply(i, bytes.ToUpper(d.Payload))
				}
			})
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- group.Run(ctx) }()

	client, _ := net.Dial("udp", group.Addr().String())
	fmt.Fprint(client, "hello")
	answer := make([]byte, 64)
	n, _ := client.Read(answer)
	fmt.Printf("%s\n", answer[:n])
	client.Close()

	stop()
	fmt.Println("ended:", <-done)
	// Output:
	// HELLO
	// ended: <nil>
}

// lengths counts datagrams by length. Each shard has its own lengths: no lock is needed.
type lengths [1500]int

func (l *lengths) Handle(b *packet.Batch) {
	for _, d := range b.Datagrams {
		l[len(d.Payload)]++
	}
}

// Handlers with a state of their own, which is added up after Run.
func ExampleGroup_Run() {
	const shards = 4
	var counts [shards]lengths
	group, err := shard.Listen(shard.Config{
		Address:     "127.0.0.1:0",
		Shards:      shards,
		MaxDatagram: len(lengths{}) - 1,
		OneWay:      true,
		Handler:     func(i int) packet.Handler { return &counts[i] },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 { // the kernel queues the datagrams until Run
		client, _ := net.Dial("udp", group.Addr().String())
		fmt.Fprint(client, "four")
		client.Close()
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // Run still reads what is queued
	fmt.Println("ended:", group.Run(ctx))

	total := 0
	for i := range counts {
		total += counts[i][4]
	}
	fmt.Println("of length 4:", total)
	// Output:
	// ended: <nil>
	// of length 4: 3
}
