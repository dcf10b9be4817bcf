package doctor

import (
	"os"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/sockets"
)

// Instances returns the PIDs of the instances of this program that have the port of a listener, as
// far as this process can see them.
func (h Host) Instances(listeners []Listener) (pids []int) {
	fs, err := procfs.NewFS(h.Proc)
	if err != nil {
		return nil
	}
	e := examination{Host: h, fs: fs, self: os.Getpid(), listeners: listeners}
	if self, err := fs.Self(); err == nil {
		e.program = program(self)
	}
	for _, l := range listeners {
		found, _ := sockets.List(l.Address.Port())
		for _, s := range found {
			if pid := e.instanceOf(sockets.Watched{Socket: s}); pid != 0 && l.Holds(s.Local, s.V6Only) {
				pids = append(pids, pid)
			}
		}
	}
	return unique(pids)
}
