package takeover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/leak"
)

// slowOffer is an active process that offers to standbys only after release.
type slowOffer struct {
	*active
	begun, release chan struct{}
}

func (a slowOffer) Offer(h Hello) (Offer, error) {
	if h.Role == Standby {
		close(a.begun)
		<-a.release
	}
	return a.active.Offer(h)
}

// A standby whose offer is sent after a takeover is redirected after the offer.
func TestOfferAfterTakeover(t *testing.T) {
	leak.Descriptors(t)
	a := slowOffer{newActive(t, 300), make(chan struct{}), make(chan struct{})}
	v := start(t, a)
	late := dial(t, v.Path())
	waits := make(chan error, 1)
	go func() {
		o, err := late.Hello(testContext(t), Hello{Role: Standby})
		o.Close()
		if err == nil {
			err = late.Wait(testContext(t))
		}
		waits <- err
	}()
	<-a.begun
	c, _ := join(t, v.Path(), Successor)
	takeOver(t, c).Close()
	close(a.release)
	wantError(t, result(t, waits), ErrRedirected)
	wantError(t, result(t, v.ended), nil)
}

// During 20 takeovers in a row, the active process of the moment answers each of many peers that
// come and go.
func TestManyPeersDuringTakeovers(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t, 3))
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	ended := make(chan error, 8)
	path := v.Path()
	for i := range cap(ended) {
		go func() {
			var err error
			for err == nil || errors.Is(err, ErrRedirected) {
				err = func() error {
					c, err := Dial(ctx, path)
					if err != nil {
						return err
					}
					defer c.Close()
					o, err := c.Hello(ctx, Hello{Role: Standby})
					o.Close()
					if err == nil && i%2 == 0 {
						err = c.Wait(ctx)
					}
					return err
				}()
			}
			ended <- err
		}()
	}
	for range 20 {
		c, o := join(t, v.Path(), Successor)
		o.Close()
		s := takeOver(t, c)
		wantError(t, result(t, v.ended), nil)
		v = serve(t, s, newActive(t, 3))
	}
	cancel()
	for range cap(ended) {
		wantError(t, result(t, ended), context.Canceled)
	}
}

// A server without free descriptors accepts as soon as descriptors are free.
func TestNoDescriptorToAccept(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fd) + 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: v.Path()})
	ctx, cancel := context.WithTimeout(context.Background(), acceptPause/2) // so that accept fails at first, most likely
	<-ctx.Done()
	cancel()
	if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)); err != nil {
		t.Fatal(err)
	}
	_, o := join(t, v.Path(), Standby)
	o.Close()
}

func TestIsTransient(t *testing.T) {
	for errno, want := range map[unix.Errno]bool{unix.EMFILE: true, unix.ENFILE: true, unix.ECONNABORTED: true, unix.ENOMEM: true, unix.EBADF: false, unix.EINVAL: false} {
		if isTransient(fmt.Errorf("accept: %w", errno)) != want {
			t.Errorf("%v: not %t", errno, want)
		}
	}
}
