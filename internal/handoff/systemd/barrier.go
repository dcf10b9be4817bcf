package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Barrier waits until the manager has handled all previous messages, and closes its end of a pipe
// (BARRIER=1, systemd 246; an older manager ignores the message, and closes the descriptor too).
func (u *Unit) Barrier(ctx context.Context) error {
	if u == nil || u.socket == "" {
		return nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = u.send(ctx, "BARRIER=1", theirs) // alone, because the manager ignores BARRIER=1 beside another assignment
	theirs.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { ours.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = ours.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil:
		err = errors.New("unexpected data in the barrier pipe")
	}
	return fmt.Errorf("wait for the service manager: %w", err)
}
