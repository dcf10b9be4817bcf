package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// maxFiles is the most descriptors of a message (SCM_MAX_FD, include/net/scm.h). The kernel
// refuses more with EINVAL.
const maxFiles = 253

// maxName is the longest name of a stored descriptor (FDNAME_MAX, sd_pid_notify_with_fds(3)).
const maxName = 255

// storeFiles asks the manager to store duplicates of files under a name, until removeFiles, or
// until the unit has stopped for good. The name is up to 255 printable ASCII characters without a
// colon.
//
// Success means that the message was sent: the manager does not answer. The manager ignores
// descriptors above FileDescriptorStoreMax=, with a log message; ignores a duplicate of a stored
// descriptor, whatever its name; and keeps several files of one name in no order. FDPOLL=0
// (systemd 246) tells the manager to keep a socket with a pending error.
func (u *Unit) storeFiles(ctx context.Context, name string, files ...*os.File) error {
	if err := checkName(name); err != nil {
		return err
	}
	if u == nil || u.socket == "" {
		return nil
	}
	u.mu.Lock()
	u.stored[name] = true
	u.mu.Unlock()
	for len(files) > 0 {
		n := min(len(files), maxFiles)
		if err := u.send(ctx, "FDSTORE=1\nFDPOLL=0\nFDNAME="+name, files[:n]...); err != nil {
			return err
		}
		files = files[n:]
	}
	return nil
}

// removeFiles asks the manager to close the descriptors of a name. An unknown name is no error.
func (u *Unit) removeFiles(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if u == nil || u.socket == "" {
		return nil
	}
	if err := u.send(ctx, "FDSTOREREMOVE=1\nFDNAME="+name); err != nil {
		return err
	}
	u.mu.Lock()
	delete(u.stored, name)
	u.mu.Unlock()
	return nil
}

// checkName is fdname_is_valid (src/basic/fd-util.c), except for the empty name, which
// LISTEN_FDNAMES cannot express.
func checkName(name string) error {
	if name == "" {
		return errors.New("a stored descriptor needs a name")
	}
	if len(name) > maxName {
		return fmt.Errorf("a stored descriptor's name has %d bytes, at most %d are allowed", len(name), maxName)
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 127 || c == ':' {
			return fmt.Errorf("a stored descriptor's name can't have %q: %q", c, name)
		}
	}
	return nil
}
