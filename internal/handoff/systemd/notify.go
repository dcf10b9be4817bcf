package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that start-up or a reload is complete. status is one line about the service, for
// systemctl status; empty for none.
func (u *Unit) Ready(status string) error { return u.notify(daemon.SdNotifyReady, statusLine(status)) }

// Reloading says that a reload has begun; Ready ends the reload. The message has the time, which
// Type=notify-reload requires (systemd 253).
func (u *Unit) Reloading() error {
	return u.notify(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the service has begun to stop.
func (u *Unit) Stopping(status string) error {
	return u.notify(daemon.SdNotifyStopping, statusLine(status))
}

// MainPID makes another process the main process of the service. With NotifyAccess=main, the
// manager then accepts messages of that process only.
func (u *Unit) MainPID(pid int) error { return u.notify(fmt.Sprintf("MAINPID=%d", pid)) }

// Watchdog returns the interval after which the manager aborts a process that has not called
// Alive, and whether the watchdog is on. Usual is a call every half interval.
func (u *Unit) Watchdog() (interval time.Duration, on bool) {
	if u == nil || u.socket == "" {
		return 0, false
	}
	return u.watchdog, u.watchdog > 0
}

// Alive restarts the watchdog interval.
func (u *Unit) Alive() error { return u.notify(daemon.SdNotifyWatchdog) }

// maxStatus bounds a status line, in bytes. The manager ignores a message of more than 4096 bytes
// (NOTIFY_BUFFER_MAX is PIPE_BUF), of which the status is a part.
const maxStatus = 2048

// statusLine is the assignment of a status; empty without a status. Control characters, which
// could end the line and begin another assignment, become spaces. Invalid UTF-8, for which the
// manager ignores a status, becomes U+FFFD.
func statusLine(text string) string {
	if text == "" {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > maxStatus {
		text = strings.ToValidUTF8(text[:maxStatus], "") // a partial character at the end
	}
	return "STATUS=" + text
}
