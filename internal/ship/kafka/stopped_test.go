package kafka

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// stoppedURL is the variable with the URL of the target of TestStoppedChild.
const stoppedURL = "UDPSHARD_TEST_STOPPED"

// A process that is stopped while it sends a batch, and goes on after another process has sent the
// batch, sends nothing.
func TestProcessStopped(t *testing.T) {
	b := startBroker(t)
	b.needFake(t)
	first := shiptest.Numbered(0, 100)
	if err := b.open(t).Send(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStoppedChild$", "-test.v")
	child.Env = append(os.Environ(), stoppedURL+"=kafka://"+b.address+"/"+b.topic)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill()
	lines := bufio.NewReader(output)
	awaitLine(t, lines, "connected")
	b.process.Kill()
	l, err := net.Listen("tcp", b.address) // shows that the child tries to send
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(input, "go on\n")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	shiptest.Stop(t, child.Process)
	stopped := time.Now()
	conn.Close()
	l.Close()
	b.start(t)
	successor, again := b.open(t), shiptest.Numbered(200, 100)
	again.Note = first.Note
	if n, err := successor.Stored(t.Context(), again); n != 0 || err != nil {
		t.Fatalf("%d records stored, %v", n, err)
	}
	if err := successor.Send(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(stopped.Add(maxStop + maxStop/10)))
	child.Process.Signal(syscall.SIGCONT)
	awaitLine(t, lines, "error: topic "+b.topic+": "+errStopped.Error())
	if err := child.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
	seen := make(map[int]bool)
	for _, m := range b.read(t) {
		record, _ := number(t, m.Payload)
		if seen[record] {
			t.Fatalf("record %d is there twice", record)
		}
		seen[record] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d records, sent 300", len(seen))
	}
}

// awaitLine reads until a line has a prefix.
func awaitLine(t *testing.T, lines *bufio.Reader, prefix string) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, prefix) {
			return
		}
		if err != nil {
			t.Fatalf("no line %s: %v", prefix, err)
		}
	}
}

// TestStoppedChild is the process that TestProcessStopped stops.
func TestStoppedChild(t *testing.T) {
	url := os.Getenv(stoppedURL)
	if url == "" {
		t.Skip("is run by TestProcessStopped")
	}
	target := newTarget(t, url)
	if err := target.Send(t.Context(), shiptest.Numbered(100, 100)); err != nil {
		t.Fatal(err)
	}
	fmt.Println("connected")
	bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Println("error:", target.Send(t.Context(), shiptest.Numbered(200, 100)))
}
