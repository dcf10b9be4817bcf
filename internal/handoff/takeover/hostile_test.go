package takeover

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/leak"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/internal/sys/systest"
)

// sendRaw sends bytes and descriptors without a check.
func sendRaw(t *testing.T, w *wire, data string, files ...*os.File) {
	t.Helper()
	var rights []byte
	if len(files) > 0 {
		fds, err := sys.Descriptors(files...)
		if err != nil {
			t.Error(err)
		}
		rights = unix.UnixRights(fds...)
	}
	var err error
	if data == "" {
		err = systest.SendEmptyPacket(w.conn, rights)
	} else {
		_, _, err = w.conn.WriteMsgUnix([]byte(data), rights, nil)
	}
	runtime.KeepAlive(files)
	if err != nil && !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
}

const hello1 = `{"kind":"hello","protocol":2,"version":"3.0","role":"standby"`

func TestHostilePeer(t *testing.T) {
	for name, said := range map[string]struct {
		data  string
		files int
		words string // of the refusal; empty: an offer is expected
	}{
		"random bytes":        {data: "\x00\xff\x17", words: "no message of the takeover protocol"},
		"no object":           {data: `"hello"`, words: "no message of the takeover protocol"},
		"no protocol":         {data: `{"kind":"hello"}`, words: "no protocol number"},
		"no kind":             {data: `{"protocol":2}`, words: "no protocol number"},
		"another protocol":    {data: `{"kind":"hello","protocol":3,"version":"3.0","role":{}}`, words: "udpshard 3.0 speaks takeover protocol 3, udpshard 1.0 speaks 2"},
		"unknown kind":        {data: `{"kind":"hail","protocol":2,"version":"3.0"}`, words: `udpshard 3.0 sends "hail", unknown to udpshard 1.0`},
		"unknown role":        {data: `{"kind":"hello","protocol":2,"version":"3.0","role":"king"}`, words: `udpshard 3.0 has the role "king"`},
		"other types":         {data: `{"kind":"hello","protocol":2,"version":"3.0","role":7}`, words: "hello of udpshard 3.0"},
		"too large":           {data: hello1 + `,"x":"` + strings.Repeat("x", maxMessage) + `"}`, words: "longer than 65536 bytes"},
		"out of turn":         {data: `{"kind":"ready","protocol":2}`, words: `"ready" received instead of "hello"`},
		"negative count":      {data: hello1 + `,"listeners":-1}`, words: "hello with -1 listeners"},
		"huge count":          {data: hello1 + `,"listeners":99999999}`, words: "hello with 99999999 listeners"},
		"unexpected files":    {data: hello1 + `}`, files: 3, words: "0 descriptors announced, 3 received"},
		"files of its own":    {data: hello1 + `,"files":3}`, files: 3, words: "hello with 3 descriptors"},
		"files out of turn":   {data: `{"kind":"sockets","protocol":2,"files":253}`, files: 253, words: `"sockets" received instead`},
		"an offer":            {data: `{"kind":"offer","protocol":2,"files":1,"memory":true}`, files: 1, words: `"offer" received instead`},
		"missing files":       {data: `{"kind":"yours","protocol":2,"files":2}`, files: 1, words: "2 descriptors announced, 1 received"},
		"unknown fields":      {data: hello1 + `,"mood":{"good":[true]},"notes":[1,2]}`},
		"nothing but files":   {data: "", files: 5, words: "-"},
		"long and with files": {data: strings.Repeat(" ", 2*maxMessage), files: 9, words: "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			v := start(t, newActive(t, 1))
			c := dial(t, v.Path())
			files := make([]*os.File, said.files)
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			for i := range files {
				files[i] = writer
			}
			sendRaw(t, c.wire, said.data, files...)
			writer.Close()
			m, came, err := c.receive(testContext(t), 0)
			handoff.CloseFiles(came...)
			switch {
			case said.words == "-":
				wantError(t, err, io.EOF)
			case err != nil:
				t.Error(err)
			case said.words == "":
				if m.Kind != kindOffer {
					t.Errorf("%+v", m)
				}
			case m.Kind != kindRefused || !strings.Contains(m.Reason, said.words):
				t.Errorf("%+v, want %q", m, said.words)
			}
			if n, err := reader.Read(make([]byte, 1)); n != 0 || err != io.EOF { // all writers are closed
				t.Error(n, err)
			}
		})
	}
}

func TestHostileActive(t *testing.T) {
	for name, say := range map[string]struct {
		messages []string
		files    []int
		words    string
	}{
		"random bytes":       {[]string{"\x00\xff"}, nil, "no message of the takeover protocol"},
		"another protocol":   {[]string{`{"kind":"offer","protocol":3,"version":"3.0"}`}, nil, "udpshard 3.0 speaks takeover protocol 3, udpshard 1.1 speaks 2"},
		"a later refusal":    {[]string{`{"kind":"refused","protocol":9,"version":"3.0","words":"protocol 9 or none","more":[1]}`}, nil, "the active udpshard 3.0 refuses: protocol 9 or none"},
		"moved":              {[]string{`{"kind":"moved","protocol":2}`}, nil, ErrRedirected.Error()},
		"moved, its memory":  {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"moved","protocol":2,"memory":true,"files":2}`}, []int{0, 2}, ErrRedirected.Error()},
		"moved, one file":    {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"moved","protocol":2,"memory":true,"files":1}`}, []int{0, 1}, "moved with 1 descriptors"},
		"moved, no file":     {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"moved","protocol":2,"memory":true}`}, nil, "moved with 0 descriptors"},
		"out of turn":        {[]string{`{"kind":"left","protocol":2}`}, nil, `unexpected "left"`},
		"no memory":          {[]string{`{"kind":"offer","protocol":2,"memory":true}`}, nil, "0 descriptors received, 2 announced"},
		"too many files":     {[]string{`{"kind":"offer","protocol":2,"memory":true,"web":true,"files":4}`}, []int{4}, "4 descriptors received, 3 announced"},
		"files unsaid":       {[]string{`{"kind":"offer","protocol":2}`}, []int{1}, "0 descriptors announced, 1 received"},
		"socket missing":     {[]string{`{"kind":"offer","protocol":2,"listeners":1}`, `{"kind":"listener","protocol":2,"sockets":2,"files":2}`}, []int{0, 1}, "2 descriptors announced, 1 received"},
		"sockets too many":   {[]string{`{"kind":"offer","protocol":2,"listeners":1}`, `{"kind":"listener","protocol":2,"sockets":1,"files":2}`}, []int{0, 2}, "1 sockets more than announced"},
		"stream never comes": {[]string{`{"kind":"offer","protocol":2,"listeners":1}`, `{"kind":"listener","protocol":2,"stream":true}`}, nil, "listener with 0 descriptors"},
		"stream and no more": {[]string{`{"kind":"offer","protocol":2,"listeners":1}`, `{"kind":"listener","protocol":2,"stream":true,"sockets":1,"files":1}`, `{"kind":"sockets","protocol":2}`}, []int{0, 1, 0}, "no sockets received"},
		"sockets never come": {[]string{`{"kind":"offer","protocol":2,"listeners":1}`, `{"kind":"listener","protocol":2,"sockets":2,"files":1}`, `{"kind":"sockets","protocol":2}`}, []int{0, 1, 0}, "no sockets received"},
		"another in between": {[]string{`{"kind":"offer","protocol":2,"listeners":2}`, `{"kind":"listener","protocol":2,"sockets":2,"files":1}`, `{"kind":"listener","protocol":2,"sockets":1,"files":1}`}, []int{0, 1, 1}, `"listener" received instead of "sockets"`},
		"grant with two":     {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"yours","protocol":2,"files":2}`}, []int{0, 2}, "with 2 descriptors"},
		"grant with a pipe":  {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"yours","protocol":2,"files":1}`}, []int{0, 1}, "the listening socket of"},
		"grant without":      {[]string{`{"kind":"offer","protocol":2}`, `{"kind":"yours","protocol":2}`}, nil, "with 0 descriptors"},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			c, done := fakeActive(t, func(w *wire) {
				for i, data := range say.messages {
					var files []*os.File
					if i < len(say.files) {
						for range say.files[i] {
							files = append(files, writer)
						}
					}
					sendRaw(t, w, data, files...)
				}
				w.receiveHello(testContext(t))
			})
			_, err = succeed(testContext(t), c)
			if err == nil || !strings.Contains(err.Error(), say.words) {
				t.Errorf("%v, want %q", err, say.words)
			}
			another := name == "another protocol" || name == "a later refusal"
			if got := hintOf(err); another != (got == OtherVersionRemedy) {
				t.Errorf("hint %q", got)
			}
			c.Close()
			<-done
			writer.Close()
			if n, err := reader.Read(make([]byte, 1)); n != 0 || err != io.EOF { // all writers are closed
				t.Error(n, err)
			}
		})
	}
}

// If the limit on open files leaves no room, the kernel drops descriptors of a message.
func TestNoRoomForDescriptors(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t, 20))
	c := dial(t, v.Path())
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := c.sendHello(testContext(t), Hello{Role: Standby}); err != nil {
		t.Fatal(err)
	}
	for len(v.Standbys()) == 0 { // until the offer has been sent
		runtime.Gosched()
	}
	next, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next) + 11, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	m, files, err := c.receive(testContext(t), 0)
	if err == nil {
		_, err = c.receiveOffer(testContext(t), m, files)
	}
	if err2 := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err2 != nil {
		t.Fatal(err2)
	}
	if err == nil || !strings.Contains(err.Error(), "of 21 descriptors received") || !strings.Contains(hintOf(err), "ulimit -n") {
		t.Error(err)
	}
}

// Received descriptors are close-on-exec.
func TestCloseOnExec(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t, 1))
	_, o := join(t, v.Path(), Standby)
	flags, err := unix.FcntlInt(o.Listeners[0].Sockets[0].Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Error(flags, err)
	}
}

// All duplicates of a socket share O_NONBLOCK, so no process may change the flag.
func TestOfferKeepsNonblock(t *testing.T) {
	leak.Descriptors(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	a := &offersNonblockingWeb{newActive(t, 1), f}
	v := start(t, a)
	_, o := join(t, v.Path(), Standby)
	if flags, err := unix.FcntlInt(o.Web.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Error("web", flags, err)
	}
	if flags, err := unix.FcntlInt(o.Listeners[0].Sockets[0].Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Error("socket", flags, err)
	}
}

type offersNonblockingWeb struct {
	*active
	web *os.File
}

func (a *offersNonblockingWeb) Offer(h Hello) (Offer, error) {
	o, err := a.active.Offer(h)
	o.Web, _ = sys.DuplicateFile(a.web, "web")
	return o, err
}

func FuzzDecode(f *testing.F) {
	for k := range carriesFiles {
		data, err := message{Kind: k, Protocol: 1, Version: "1.0"}.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{"", "{}", "null", "[]", hello1 + "}", `{"kind":"offer","protocol":2,"files":253,"listeners":65536,"notes":{"a":[1]}}`,
		`{"kind":"listener","protocol":2,"files":-1}`, `{"KIND":"mine","Protocol":1}`, `{"kind":"refused","protocol":2e3}`,
		`{"kind":"yours","protocol":2,"files":1,"device":18446744073709551615,"inode":1}`, "\xff\xfe", `{"kind":"hello","protocol":3}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data, "1.0")
		if err != nil {
			if len(err.Error()) > 1000+2*len(data) {
				t.Error("a long error")
			}
			return
		}
		if m.Kind != kindRefused && m.Protocol != protocol || m.Files > maxFiles || m.Files > 0 && !carriesFiles[m.Kind] || m.Files < 0 || m.Listeners < 0 || m.Sockets < 0 {
			t.Fatalf("%+v", m)
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) <= maxMessage {
			if _, err := decode(again, "1.0"); err != nil {
				t.Errorf("%s: %v", again, err)
			}
		}
	})
}
