package stream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/udpshard/udpshard/internal/dnstap"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

const dnstapType = "protobuf:dnstap.Dnstap"

// listenDnstap returns a listening socket for each scheme, with the URL of a target.
func listenDnstap(t *testing.T, scheme string) (net.Listener, string) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if scheme == schemeUnix {
		network, address = "unix", filepath.Join(t.TempDir(), "dnstap.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, scheme + "://" + l.Addr().String()
}

// framed returns a record with frames of the texts.
func framed(texts ...string) string {
	var frames []byte
	for _, text := range texts {
		frames = append(append(frames, 0, 0, 0, byte(len(text))), text...)
	}
	return base64.StdEncoding.EncodeToString(frames)
}

// readFrames accepts a connection, and returns its frames up to the end of the stream, as the
// reference reader reads them.
func readFrames(l net.Listener, contentType string) (frames []string, err error) {
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	r, err := framestream.NewReader(conn, &framestream.ReaderOptions{Bidirectional: true, ContentTypes: [][]byte{[]byte(contentType)}})
	if err != nil {
		return nil, err
	}
	for buf := make([]byte, 1<<16); ; {
		n, err := r.ReadFrame(buf)
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(buf[:n]))
	}
}

// The reference reader gets the frames of all batches over one connection, and the end of the stream.
func TestDnstap(t *testing.T) {
	for _, scheme := range []string{schemeTCP, schemeUnix} {
		t.Run(scheme, func(t *testing.T) {
			l, url := listenDnstap(t, scheme)
			to := open(t, shiptest.Settings(t, url))
			var got []string
			ended := make(chan error, 1)
			go func() {
				var err error
				got, err = readFrames(l, dnstapType)
				ended <- err
			}()
			send(t, to, shiptest.Batch(0, framed("query", "response"), framed("second")))
			err := to.Send(context.Background(), shiptest.Batch(2, `{"id":1}`, framed("third")))
			var partly *ship.Error
			if !errors.As(err, &partly) || partly.Err != nil || len(partly.Rejected) != 1 || partly.Rejected[0].Index != 0 {
				t.Errorf("a record in another format: %v", err)
			}
			if err := to.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if want := []string{"query", "response", "second", "third"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// A peer that speaks another protocol, or takes another content type, gets no frame.
func TestDnstapIsRefused(t *testing.T) {
	l, url := listenDnstap(t, schemeTCP)
	refused := make(chan error, 1)
	go func() {
		_, err := readFrames(l, "protobuf:other")
		refused <- err
	}()
	to := open(t, shiptest.Settings(t, url))
	if err := to.Send(context.Background(), shiptest.Batch(0, framed("a"))); err == nil || !strings.Contains(err.Error(), "handshake of dnstap") {
		t.Errorf("another content type: %v", err)
	}
	if err := <-refused; err == nil {
		t.Error("the peer has refused nothing")
	}
	for name, answer := range map[string]string{"HTTP": "HTTP/1.1 400 Bad Request\r\n\r\n", "nothing": ""} {
		go func() {
			if conn, err := l.Accept(); err == nil {
				fmt.Fprint(conn, answer)
				conn.Close()
			}
		}()
		if err := to.Send(context.Background(), shiptest.Batch(0, framed("a"))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := to.Send(ctx, shiptest.Batch(0, framed("a"))); err == nil { // no answer
		t.Error("a peer without an answer: no error")
	}
}

// At a unix socket, a batch that the peer has not read is not acknowledged, and is sent again.
func TestUnreadUnixSocket(t *testing.T) {
	l, url := listenDnstap(t, schemeUnix)
	to := open(t, shiptest.Settings(t, url))
	b := shiptest.Batch(0, framed("one"), framed("two"))
	result := begin(context.Background(), to, b)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	if c, err := dnstap.ReadControl(conn); c != dnstap.Ready || err != nil {
		t.Fatal(c, err)
	}
	if _, err := conn.Write(dnstap.AppendControl(nil, dnstap.Accept)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-result:
		t.Fatalf("acknowledged unread: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	conn.Close()
	var failed *ship.Error
	if err := <-result; !errors.As(err, &failed) || failed.Err == nil || failed.Acknowledged != 0 {
		t.Fatalf("%v", err)
	}
	result = begin(context.Background(), to, b)
	frames := make(chan []string, 1)
	go func() {
		got, _ := readFrames(l, dnstapType)
		frames <- got
	}()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	to.Close()
	if got := <-frames; !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
}

func TestDnstapOptions(t *testing.T) {
	for url, want := range map[string]string{
		"dnstap+tcp://h":         "needs a host and a port",
		"dnstap+tcp://a:1/path":  "has no path",
		"dnstap+unix://h/path":   "needs the path of a socket",
		"dnstap+unix:///":        "needs the path of a socket",
		"dnstap+unix:///run/x?y": "needs the path of a socket",
	} {
		if _, err := New(shiptest.Settings(t, url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
	if _, err := New(shiptest.Settings(t, "dnstap+tcp://h:1", "framing", "newline")); err == nil {
		t.Error("framing is an option of dnstap")
	}
}
