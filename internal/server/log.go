package server

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"
)

// newLogger logs to w: for people where that is a terminal, else JSON.
func newLogger(w io.Writer, terminal bool, format string) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if format == "console" || format == "auto" && terminal {
		_, plain := os.LookupEnv("NO_COLOR")
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: plain || !terminal}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// logQueue is how many log lines wait for a standard error that nobody reads: twice those with
// which 1,000 listeners begin and end at once.
const logQueue = 10_000

// logWriter keeps log lines from stopping whoever writes one: they go through
// a queue, and when standard error does not take them, the oldest are lost
// and counted.
func logWriter(w io.Writer) diode.Writer {
	w = struct{ io.Writer }{w} // closing the queue must not close standard error
	return diode.NewWriter(w, logQueue, 0, func(missed int) {
		fmt.Fprintf(w, "{\"level\":\"warn\",\"lost_log_lines\":%d,\"message\":\"standard error was not read in time\"}\n", missed)
	})
}

// closeLog gives the queue a moment to be written.
func closeLog(w io.Closer) {
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

// setLevel applies to all loggers, at once and while they are in use.
func setLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}
