package metrics

import (
	"os"
	"syscall"
)

// ThisProcess names this process among those of all PID namespaces of the host.
func ThisProcess() ProcessStatus {
	p := ProcessStatus{PID: os.Getpid()}
	if info, err := os.Stat("/proc/self/ns/pid"); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			p.PIDNamespace = stat.Ino
		}
	}
	return p
}
