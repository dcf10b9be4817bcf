package main

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// replyTimeout is how long a client waits for a reply.
const replyTimeout = time.Second

// ask sends n requests to an echo service, each from a source port of its own, and prints how many
// were answered in time.
func ask(addr string, n int) error {
	conns := make([]net.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("udp", addr); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	answered := make([]bool, n)
	var all sync.WaitGroup
	for i, conn := range conns {
		all.Go(func() {
			text, buf := fmt.Sprint("request ", i), make([]byte, 64)
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
			conn.SetReadDeadline(time.Now().Add(replyTimeout))
			got, err := conn.Read(buf)
			answered[i] = err == nil && string(buf[:got]) == text
		})
	}
	all.Wait()
	total := 0
	for _, yes := range answered {
		if yes {
			total++
		}
	}
	fmt.Println(total)
	return nil
}
