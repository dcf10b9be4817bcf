package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// maxFiles is the most descriptors that a message carries (SCM_MAX_FD,
// include/net/scm.h); more are EINVAL.
const maxFiles = 253

// maxName is the longest name of a stored descriptor (FDNAME_MAX,
// sd_pid_notify_with_fds(3)).
const maxName = 255

// store has the manager keep duplicates of files by a name, until remove or
// until the unit has stopped for good. The name is up to 255 printable ASCII
// characters without a colon.
//
// Success means that it was sent. The manager answers nothing: it ignores
// what is more than FileDescriptorStoreMax=, and logs that; it ignores a
// duplicate of what it has, whatever the name; and it keeps several files of
// one name in no order. It is told not to look for errors on them (FDPOLL=0,
// systemd 246): a socket with an error that waits is to stay.
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

// remove has the manager close what it keeps by a name. It is no error if
// there is none.
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

// checkName is fdname_is_valid (src/basic/fd-util.c), less the empty name,
// which LISTEN_FDNAMES can't tell from none.
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
