package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Barrier waits until the manager has dealt with all that was sent before. It
// closes its end of a pipe then (BARRIER=1, systemd 246; an older one closes
// it too, for it has no use for it).
func (u *Unit) Barrier(ctx context.Context) error {
	if u == nil || u.socket == "" {
		return nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = u.send(ctx, "BARRIER=1", theirs) // alone: with another assignment it is ignored
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
		err = errors.New("it wrote into the barrier")
	}
	return fmt.Errorf("wait for the service manager: %w", err)
}
