package doctor

import (
	"os"
	"slices"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/sockets"
)

// Instances returns the pids of the instances of this program that have a listener's port, as far
// as they can be seen.
func (h Host) Instances(listeners []Listener) (pids []int) {
	fs, err := procfs.NewFS(h.Proc)
	if err != nil {
		return nil
	}
	e := examination{Host: h, fs: fs, self: os.Getpid(), listeners: listeners}
	if self, err := fs.Self(); err == nil {
		e.name = program(self)
	}
	for _, l := range listeners {
		found, _ := sockets.List(l.Address.Port())
		for _, s := range found {
			pid := e.instanceOf(sockets.Watched{Socket: s})
			if pid != 0 && l.Holds(s.Local, s.V6Only) && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
