package holder

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHoldersOfASocket(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.(*net.UDPConn).File() // a second descriptor of the socket
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}

	// cat inherits the socket, and ends with its standard input.
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{file}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()
	// cat has its name once it echoes: Start returns when execve(2) closes a pipe, before the
	// kernel sets the name (begin_new_exec in fs/exec.c, Linux 6.18).
	var echo [1]byte
	if _, err := stdin.Write(echo[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(echo[:]); err != nil {
		t.Fatal(err)
	}

	holders, err := Of([]uint64{stat.Ino})
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	got := holders[stat.Ino]
	want := []Process{{os.Getpid(), strings.TrimSpace(string(comm))}, {child.Process.Pid, "cat"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("holders %v, want %v", got, want)
	}
	if len(holders) != 1 {
		t.Errorf("and of others: %v", holders)
	}
}

// A process chooses its own name; a terminal must not interpret the name.
func TestNamesAreSafeToPrint(t *testing.T) {
	for command, want := range map[string]string{"rsyslogd": "rsyslogd", "kworker/u8:1": "kworker/u8:1", "Web Content": "Web Content", "x\x1b[2J": `"x\x1b[2J"`, "a\nb": `"a\nb"`} {
		if got := (Process{Command: command}).Name(); got != want {
			t.Errorf("%q: %s, want %s", command, got, want)
		}
	}
}

func TestProcessString(t *testing.T) {
	if got := (Process{PID: 7, Command: "a\nb"}).String(); got != `pid 7 ("a\nb")` {
		t.Error(got)
	}
}

func TestSocketInode(t *testing.T) {
	for target, want := range map[string]uint64{"socket:[4711]": 4711, "socket:[0]": 0} {
		if inode, ok := socketInode(target); !ok || inode != want {
			t.Errorf("%q: %d, %v", target, inode, ok)
		}
	}
	for _, target := range []string{"", "/dev/null", "pipe:[4711]", "socket:[]", "socket:[47", "/tmp/socket:[4711]", "socket:[-1]"} {
		if inode, ok := socketInode(target); ok {
			t.Errorf("%q: %d", target, inode)
		}
	}
}
