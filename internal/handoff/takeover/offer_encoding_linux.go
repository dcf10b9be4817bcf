package takeover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/udpshard/udpshard/internal/handoff"
)

func (w *wire) sendHello(ctx context.Context, h Hello) error {
	return w.send(ctx, message{Kind: kindHello, PID: os.Getpid(), Role: h.Role, Notes: h.Notes})
}

func (w *wire) receiveHello(ctx context.Context) (Hello, error) {
	m, err := w.expect(ctx, kindHello)
	if err != nil {
		return Hello{}, err
	}
	h := Hello{Version: m.Version, Role: m.Role, Notes: m.Notes}
	h.PID, h.Foreign = visiblePID(w.cred, m.PID)
	if h.Role != Successor && h.Role != Standby {
		return h, fmt.Errorf("udpshard %s has the role %.40q, unknown to udpshard %s",
			versionName(h.Version), h.Role, versionName(w.version))
	}
	return h, nil
}

// expect receives a message of a kind without descriptors.
func (w *wire) expect(ctx context.Context, want kind) (message, error) {
	m, files, err := w.receive(ctx, w.limits.step)
	handoff.CloseFiles(files...)
	if err == nil && m.Kind != want {
		err = unexpectedKind(m.Kind, want)
	}
	return m, err
}

func unexpectedKind(came, want kind) error {
	return fmt.Errorf("%q received instead of %q", came, want)
}

// sendOffer sends an offer and leaves its files open. The control memory carries a registration of
// the peer.
func (w *wire) sendOffer(ctx context.Context, o Offer) error {
	head := message{Kind: kindOffer, PID: os.Getpid(), Listeners: len(o.Listeners), Notes: o.Notes}
	memory, err := withRegistration(o.Memory)
	if err != nil {
		return err
	}
	defer handoff.CloseFiles(memory.Control)
	head.Memory = memory.Files() != nil
	files := memory.Files()
	if o.Web != nil {
		head.Web, files = true, append(files, o.Web)
	}
	if err := w.send(ctx, head, files...); err != nil {
		return err
	}
	for _, l := range o.Listeners {
		m := message{Kind: kindListener, Name: l.Name, Address: l.Address, ListenerProtocol: l.Protocol, Seed: l.Seed, Sockets: len(l.Sockets), Stream: l.Stream != nil}
		rest := l.Sockets
		if m.Stream {
			rest = slices.Concat([]*os.File{l.Stream}, rest)
		}
		for ; ; m = (message{Kind: kindSockets}) {
			n := min(len(rest), maxFiles)
			if err := w.send(ctx, m, rest[:n]...); err != nil {
				return fmt.Errorf("listener %s: %w", l.Name, err)
			}
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
	}
	return nil
}

// receiveOffer receives the rest of an offer after its first message, head, which came with files.
// On an error the files are closed.
func (w *wire) receiveOffer(ctx context.Context, head message, files []*os.File) (o Offer, err error) {
	o = Offer{Version: head.Version, State: handoff.State{Notes: head.Notes}}
	o.PID, o.Foreign = visiblePID(w.cred, head.PID)
	w.statedPID = head.PID
	if o.Memory, o.Web, err = splitHeadFiles(head, files); err != nil {
		return Offer{}, err
	}
	defer func() {
		if err != nil {
			o.Close()
			o = Offer{}
		}
	}()
	for range head.Listeners {
		l, err := w.receiveListener(ctx)
		o.Listeners = append(o.Listeners, l)
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func splitHeadFiles(head message, files []*os.File) (memory handoff.Memory, web *os.File, err error) {
	want := head.memoryFiles()
	if head.Web {
		want++
	}
	if len(files) != want {
		handoff.CloseFiles(files...)
		return handoff.Memory{}, nil, fmt.Errorf("offer: %d descriptors received, %d announced",
			len(files), want)
	}
	if head.Memory {
		memory, files = handoff.MemoryOf(files), files[handoff.MemoryFiles:]
	}
	if head.Web {
		web = files[0]
	}
	return memory, web, nil
}

// receiveListener returns received sockets with an error too.
func (w *wire) receiveListener(ctx context.Context) (l handoff.Listener, err error) {
	want, missing := kindListener, 0
	for {
		m, files, err := w.receive(ctx, w.limits.step)
		if err != nil {
			return l, err
		}
		if m.Kind == kindListener && m.Stream && l.Stream == nil {
			l.Stream, files = files[0], files[1:]
		}
		l.Sockets = append(l.Sockets, files...)
		if m.Kind != want {
			return l, unexpectedKind(m.Kind, want)
		}
		if want == kindListener {
			l.Name, l.Address, l.Protocol, l.Seed = m.Name, m.Address, m.ListenerProtocol, m.Seed
			missing = m.Sockets
			want = kindSockets
		} else if len(files) == 0 {
			return l, errors.New("no sockets received")
		}
		if missing -= len(files); missing == 0 {
			return l, nil
		} else if missing < 0 {
			return l, fmt.Errorf("listener %.40s: %d sockets more than announced", l.Name, -missing)
		}
	}
}
