// Command outside runs outside of the container: it finds ports, sends datagrams and queries, reads
// the status, and compares records with what was sent.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("outside: error: ")
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(command string, args []string) error {
	switch command {
	case "ports":
		return ports()
	case "ready":
		return until(func() error { _, err := get(args[0], "/readyz"); return err })
	case "send":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return send(args[0], args[1], n, args[3], args[4])
	case "compare":
		return compare(args[0], args[1])
	case "ask":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return ask(args[0], n)
	case "past":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return past(args[0], n)
	case "account":
		return account(args[0])
	case "report":
		return report(args[0])
	}
	return fmt.Errorf("no such command: %s", command)
}

// ports prints a free UDP address and a free TCP address.
func ports() error {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer u.Close()
	t, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer t.Close()
	fmt.Println(u.LocalAddr(), t.Addr())
	return nil
}

// until tries for a minute.
func until(f func() error) error {
	end := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
