// Package logging is the log of serve: loggers over a queue that blocks no writer, and the lines
// about the ledger.
package logging

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"
)

// New logs to w: text on a terminal, else JSON.
func New(w io.Writer, terminal bool, format string) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if format == "console" || format == "auto" && terminal {
		_, plain := os.LookupEnv("NO_COLOR")
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: plain || !terminal}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// queueLength is how many log lines wait while standard error accepts none: twice the lines that a
// process with 1,000 listeners logs at its start and its end.
const queueLength = 10_000

// NewQueue lets no log line block its writer: lines go through a queue. If standard error does not
// accept lines, the oldest lines are lost and counted.
func NewQueue(w io.Writer) diode.Writer {
	w = struct{ io.Writer }{w} // closing the queue must not close standard error
	return diode.NewWriter(w, queueLength, 0, func(missed int) {
		fmt.Fprintf(w, `{"level":"warn","lost_log_lines":%d,`+
			`"message":"standard error was not read in time"}`+"\n", missed)
	})
}

// CloseQueue waits for up to a second until the queue is written.
func CloseQueue(w io.Closer) {
	done := make(chan struct{})
	go func() {
		w.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// SetLevel sets the level of all loggers. Any goroutine may call SetLevel.
func SetLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}
