package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that start-up is complete, or a reload, with a line on what the
// service does now; empty for none.
func (u *Unit) Ready(status string) error { return u.notify(daemon.SdNotifyReady, statusLine(status)) }

// Reloading says that a reload has begun; Ready ends it. It bears the time,
// without which Type=notify-reload does not believe it (systemd 253).
func (u *Unit) Reloading() error {
	return u.notify(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the service has begun to stop.
func (u *Unit) Stopping(status string) error {
	return u.notify(daemon.SdNotifyStopping, statusLine(status))
}

// MainPID says that the service is another process from now on. Only messages
// of that one count after it, where NotifyAccess= is main.
func (u *Unit) MainPID(pid int) error { return u.notify(fmt.Sprintf("MAINPID=%d", pid)) }

// Watchdog returns how often at the least Alive is to be called, or the
// manager aborts this process, and whether it does at all. Half of the interval
// is usual.
func (u *Unit) Watchdog() (interval time.Duration, on bool) {
	if u == nil || u.socket == "" {
		return 0, false
	}
	return u.watchdog, u.watchdog > 0
}

// Alive keeps the watchdog quiet for another interval.
func (u *Unit) Alive() error { return u.notify(daemon.SdNotifyWatchdog) }

// maxStatus bounds a status line, in bytes: the manager ignores a message of
// more than 4096 (NOTIFY_BUFFER_MAX is PIPE_BUF), status and all else.
const maxStatus = 2048

// statusLine is the assignment of a status; empty if there is none. What could
// end the line and begin another assignment becomes a space; what is no UTF-8,
// for which the manager ignores a status, U+FFFD.
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
		text = strings.ToValidUTF8(text[:maxStatus], "") // a rune that was cut
	}
	return "STATUS=" + text
}
