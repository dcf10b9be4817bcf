package cli

import (
	"context"
	"os/signal"

	"golang.org/x/sys/unix"
)

// InterruptContext returns a context that ends with SIGINT or SIGTERM. A second signal ends the
// process.
func InterruptContext() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
