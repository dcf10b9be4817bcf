package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// collectorName is the name of the test program as a collector: a process that can be stopped, with
// files of what its connections have brought.
const collectorName = "udpshard-test-collector"

// collector is a TCP server in a process of its own. It appends each whole line to a file. At
// SIGUSR1 it resets its connections, and notes how many bytes its TCP had and no line has.
type collector struct {
	t       *testing.T
	address string
	folder  string
	cmd     *exec.Cmd
}

// startCollector starts a collector at an address. change may be nil.
func startCollector(t *testing.T, address string, change func(*exec.Cmd)) *collector {
	t.Helper()
	c := &collector{t: t, address: address, folder: t.TempDir()}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = &exec.Cmd{Path: own, Args: []string{collectorName, address, c.folder}, Stderr: os.Stderr}
	if change != nil {
		change(c.cmd)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	return c
}

// awaitListening waits until the collector accepts connections.
func (c *collector) awaitListening() {
	c.t.Helper()
	eventually(c.t, "the collector listens", func() bool {
		_, err := os.Stat(filepath.Join(c.folder, "listening"))
		return err == nil
	})
}

func (c *collector) signal(s os.Signal) { c.cmd.Process.Signal(s) }

// stop stops the collector, and returns when it is stopped.
func (c *collector) stop() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	eventually(c.t, "the collector is stopped", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
		return strings.Contains(string(stat), ") T ")
	})
}

// lines returns the number of whole lines, and calls check for each.
func (c *collector) lines(check func([]byte)) int {
	c.t.Helper()
	return countLines(c.t, filepath.Join(c.folder, "lines"), check)
}

// dropped returns how many bytes the collector had and no line has, of connections that were reset.
func (c *collector) dropped() (bytes int) {
	text, _ := os.ReadFile(filepath.Join(c.folder, "dropped")) // absent: none
	for line := range strings.Lines(string(text)) {
		n := 0
		fmt.Sscan(line, &n)
		bytes += n
	}
	return bytes
}

// runCollector is the collector's process.
func runCollector() {
	if err := serveLines(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveLines(address, folder string) error {
	const small = 64 << 10 // a stopped collector has little that it can drop
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, small)
		})
	}}
	var resets atomic.Int64
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			resets.Add(1)
		}
	}()
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	var files [3]*os.File
	for i, name := range []string{"lines", "dropped", "listening"} {
		path := filepath.Join(folder, name)
		files[i], err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go collect(conn.(*net.TCPConn), files[0], files[1], &resets)
	}
}

// stopped is a time for a read that only a stopped process needs.
const stopped = time.Second

// collect appends the lines of a connection to a file, until the connection ends or resets grows.
func collect(conn *net.TCPConn, lines, dropped io.Writer, resets *atomic.Int64) {
	defer conn.Close()
	before := resets.Load()
	var partial []byte
	for buffer := make([]byte, 64<<10); ; {
		began := time.Now()
		conn.SetReadDeadline(began.Add(10 * time.Millisecond))
		n, err := conn.Read(buffer)
		partial = append(partial, buffer[:n]...)
		if time.Since(began) > stopped { // a signal that came meanwhile is processed first
			time.Sleep(stopped / 4)
		}
		if resets.Load() != before {
			fmt.Fprintln(dropped, unread(conn)+len(partial))
			conn.SetLinger(0)
			return
		}
		whole := bytes.LastIndexByte(partial, '\n') + 1
		lines.Write(partial[:whole])
		partial = append(partial[:0], partial[whole:]...)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// unread returns how many bytes a connection has received that nobody has read (SIOCINQ, tcp(7)).
func unread(conn *net.TCPConn) (bytes int) {
	raw, err := conn.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { bytes, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	}
	return bytes
}
