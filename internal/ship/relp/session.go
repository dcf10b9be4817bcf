package relp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// manyOpen: the number of open records from which on the reader pauses before it reads. Fewer
	// records, as at the end of a batch, are not delayed.
	manyOpen = 64
	// closeTimeout: how long the end of a session may last.
	closeTimeout = time.Second
)

// errEnded is the error of a session that the server has ended.
var errEnded = errors.New("session ended by the server")

// session is a connection after the command open. The goroutine of the target calls the methods,
// but for read, process and fail, which are the reader's.
type session struct {
	socket  *pacedConn
	conn    net.Conn      // socket, or TLS on top
	timeout time.Duration // without progress
	next    int           // transaction number of the next command
	changed chan struct{} // the batch has as few open records as wanted, or the session has ended
	timer   *time.Timer
	ended   chan struct{} // the reader has ended

	mu      sync.Mutex
	batch   *transactions
	wanted  int // open records that awaitRoom waits for
	closing int // transaction number of the command close; 0: not sent
	err     error
}

// begin sets the batch whose responses are due; nil: no response is due. All
// records of the batch before have a response.
func (s *session) begin(batch *transactions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = batch
}

// write writes frames with the next n records of the batch.
func (s *session) write(frames []byte, n int) error {
	s.mu.Lock()
	s.batch.sent += n
	s.batch.open += n
	s.mu.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	_, err := s.conn.Write(frames)
	if err == nil {
		return nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("server has read nothing for %s", s.timeout)
	}
	// The reader still finds the responses that arrived before a RST, and then the reason.
	select {
	case <-s.ended:
		return s.failure()
	case <-time.After(closeTimeout):
		return fmt.Errorf("%w: %w", errEnded, err)
	}
}

// awaitRoom waits until at least so many more records can be sent, and returns how many.
func (s *session) awaitRoom(ctx context.Context, window, least int) (room int, err error) {
	answered := -1
	for {
		s.mu.Lock()
		room, err := window-s.batch.open, s.err
		progress := s.batch.answered() > answered
		answered = s.batch.answered()
		s.wanted = window - least
		s.mu.Unlock()
		switch {
		case room == window && least == window:
			return room, nil // the last response may have come with the end of the session
		case err != nil:
			return 0, err
		case room >= least:
			return room, nil
		}
		if progress {
			s.timer.Reset(s.timeout)
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.timer.C:
			if !s.progressed(answered) {
				return 0, fmt.Errorf("no response from the server for %s", s.timeout)
			}
		}
	}
}

// progressed reports whether more responses have arrived.
func (s *session) progressed(answered int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batch.answered() > answered
}

// read is the reader: read processes frames until the end of the session. filled bytes of buffer
// are read already.
func (s *session) read(buffer []byte, filled int) {
	defer close(s.ended)
	for {
		used, err := s.process(buffer[:filled])
		if err != nil {
			s.fail(err)
			return
		}
		filled = copy(buffer, buffer[used:filled])
		if filled == len(buffer) {
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		n, err := s.conn.Read(buffer[filled:])
		filled += n
		if n == 0 && err != nil {
			s.fail(endedBecause(err))
			return
		}
	}
}

// endedBecause returns the error of a session after an error of Read.
func endedBecause(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: connection closed", errEnded)
	}
	return fmt.Errorf("%w: %w", errEnded, err)
}

// process notes the responses in b, and returns how many bytes are done.
func (s *session) process(b []byte) (used int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		f, size, err := parseFrame(b[used:])
		if err != nil {
			return used, err
		}
		if size == 0 {
			break
		}
		used += size
		if err := s.handle(f); err != nil {
			return used, err
		}
	}
	if s.batch == nil {
		return used, nil
	}
	if s.batch.open <= s.wanted {
		s.wanted = -1
		s.signal()
	}
	s.socket.pausing.Store(s.batch.open >= manyOpen)
	return used, nil
}

// handle handles one frame.
func (s *session) handle(f frame) error {
	switch {
	case string(f.command) == "serverclose" && f.transaction == 0:
		return fmt.Errorf("%w: serverclose", errEnded)
	case f.transaction == 0: // a hint without a meaning for the client
		return nil
	case string(f.command) != "rsp":
		return fmt.Errorf("command %s from the server, in place of a response", f.command)
	case f.transaction == s.closing:
		return fmt.Errorf("%w: closed as asked", errEnded)
	case s.batch == nil:
		return fmt.Errorf("response to transaction %d, which is not open", f.transaction)
	}
	return s.batch.respond(f.transaction, f.data)
}

// fail ends the session: also a write that waits.
func (s *session) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.socket.Close()
	s.signal()
}

func (s *session) signal() {
	select {
	case s.changed <- struct{}{}:
	default: // a signal waits already
	}
}

func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// hasEnded reports whether the server, or an error, has ended the session.
func (s *session) hasEnded() bool { return s.failure() != nil }

// abort ends the session at once. Any goroutine may call abort.
func (s *session) abort() { s.socket.Close() }

// finish ends the session after an error, and waits for the reader.
func (s *session) finish() {
	s.abort()
	<-s.ended
	s.timer.Stop()
}

// close ends the session with the command close. All records have a response.
func (s *session) close() {
	s.mu.Lock()
	s.closing = s.next
	s.mu.Unlock()
	s.conn.SetDeadline(time.Now().Add(closeTimeout))
	s.conn.Write(appendFrame(nil, s.next, "close", nil))
	<-s.ended // at the response, or at the deadline
	s.finish()
}
