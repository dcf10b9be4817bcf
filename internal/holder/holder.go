// Package holder finds the processes that hold sockets.
//
// The kernel identifies a socket by its inode, and /proc lists what each process has open. A socket
// that was duplicated, inherited or passed on has several holders. Processes of other users
// (proc(5), ptrace access) and of other PID namespaces are not visible.
package holder

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// Process holds a socket.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // proc_pid_comm(5): up to 15 bytes, of the process's own choice
}

// Name is the command, quoted if it has characters that a terminal interprets.
func (p Process) Name() string {
	if quoted := strconv.Quote(p.Command); strings.Contains(quoted, `\`) {
		return quoted
	}
	return p.Command
}

// String names the process in messages: pid 4711 (rsyslogd).
func (p Process) String() string { return fmt.Sprintf("pid %d (%s)", p.PID, p.Name()) }

// Of returns the processes that hold each socket, by inode: this process first, then by PID. The
// map has no entry for a socket without a visible holder. Of fails only where /proc is not mounted.
func Of(inodes []uint64) (map[uint64][]Process, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	procs, err := fs.AllProcs()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(procs, func(a, b procfs.Proc) int { return cmp.Compare(a.PID, b.PID) })
	if self, err := fs.Self(); err == nil {
		procs = slices.Insert(procs, 0, self) // listed again below, without effect
	}
	wanted := make(map[uint64]bool, len(inodes))
	for _, inode := range inodes {
		wanted[inode] = true
	}
	holders := make(map[uint64][]Process)
	for _, p := range procs {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // the process has ended, or is another user's
		}
		var found *Process
		for _, target := range targets {
			inode, ok := socketInode(target)
			if !ok || !wanted[inode] {
				continue
			}
			if found == nil {
				command, _ := p.Comm()
				found = &Process{PID: p.PID, Command: command}
			}
			if !slices.ContainsFunc(holders[inode], func(p Process) bool { return p.PID == found.PID }) { // several descriptors
				holders[inode] = append(holders[inode], *found)
			}
		}
	}
	return holders, nil
}

// socketInode parses the target of a socket's descriptor, socket:[4711].
func socketInode(target string) (uint64, bool) {
	text, isSocket := strings.CutPrefix(target, "socket:[")
	text, isClosed := strings.CutSuffix(text, "]")
	inode, err := strconv.ParseUint(text, 10, 64)
	return inode, isSocket && isClosed && err == nil
}
