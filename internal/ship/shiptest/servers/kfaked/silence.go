package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// unanswered is written to standard output when an answer to produce was dropped.
const unanswered = "messages stored without an answer"

// silence drops all answers from the signal SIGUSR1 on: messages are stored, and the client does
// not learn it.
type silence struct {
	on       atomic.Bool
	produced atomic.Bool // a request to produce came since the last answer
	told     atomic.Bool
}

func newSilence() *silence {
	s, begins := &silence{}, make(chan os.Signal, 1)
	signal.Notify(begins, syscall.SIGUSR1)
	go func() {
		<-begins
		s.on.Store(true)
	}()
	return s
}

func (s *silence) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return silentListener{l, s}, err
}

type silentListener struct {
	net.Listener
	*silence
}

func (l silentListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return silentConn{conn, l.silence}, nil
}

type silentConn struct {
	net.Conn
	*silence
}

func (c silentConn) Write(p []byte) (int, error) {
	if !c.on.Load() {
		c.produced.Store(false)
		return c.Conn.Write(p)
	}
	if c.produced.Load() && !c.told.Swap(true) {
		fmt.Println(unanswered)
	}
	return len(p), nil
}
