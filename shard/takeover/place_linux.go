package takeover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// place is a path at which to listen: a folder, held open, and a name in it.
type place struct {
	folder *os.File
	path   string // absolute
	name   string
}

// identity is a file, whatever its name is. A socket keeps the inode of its
// file, so that no other file has the number while it is open.
type identity struct{ device, inode uint64 }

// Check says why a path can never be that of a socket, whatever is there; nil: it
// can be.
func Check(path string) error {
	_, err := located(path)
	return err
}

// located returns an absolute path.
func located(path string) (string, error) {
	switch {
	case strings.HasPrefix(path, "@") || strings.ContainsRune(path, 0):
		return "", hinted{fmt.Errorf("%q is an abstract name, which every user may take", path), "give a path in a folder of this user's"}
	case path == "" || strings.HasSuffix(path, "/"):
		return "", fmt.Errorf("%q names no file", path)
	}
	absolute, err := filepath.Abs(path)
	if name := filepath.Base(absolute); err == nil && len(absolute) > pathRoom && len(name) > nameRoom {
		return "", fmt.Errorf("%q: the file's name has %d bytes, and a socket's address holds %d of them (unix(7))", path, len(name), nameRoom)
	}
	return absolute, err
}

func openPlace(path string) (*place, error) {
	absolute, err := located(path)
	if err != nil {
		return nil, err
	}
	folder, err := os.Open(filepath.Dir(absolute))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, hinted{err, "make that folder, or take another path"}
	case errors.Is(err, os.ErrPermission):
		return nil, hinted{err, "run as the user whose folder that is, or take another path"}
	case err != nil:
		return nil, err
	}
	return &place{folder: folder, path: absolute, name: filepath.Base(absolute)}, nil
}

// close gives up the lock too.
func (p *place) close() { p.folder.Close() }

func (p *place) fd() int { return int(p.folder.Fd()) }

const (
	// pathRoom is what a socket's address holds: sun_path without its final
	// NUL (unix(7)).
	pathRoom = 107
	// nameRoom is what it holds of a name behind the folder's descriptor, of
	// which there are 2^20 by default (fs.nr_open).
	nameRoom = pathRoom - len("/proc/self/fd/1048576/")
)

// address returns how to call a file of the folder in a socket's address.
func (p *place) address(name string) string {
	if full := filepath.Join(filepath.Dir(p.path), name); len(full) <= pathRoom {
		return full
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", p.fd(), name)
}

// lockPatience is how long others may keep the folder: they do so for a few
// system calls.
const lockPatience = 5 * time.Second

// lock keeps other processes from looking at and changing the path, if they
// lock it too. It is the folder that is locked (flock(2)): a file to lock
// would have to stay for ever.
func (p *place) lock() error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		err := unix.Flock(p.fd(), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EWOULDBLOCK) && time.Since(began) > lockPatience:
			return hinted{fmt.Errorf("lock %s: another process has held it for %s", p.folder.Name(), lockPatience), "take a path in a folder of this user's"}
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return &os.PathError{Op: "flock", Path: p.folder.Name(), Err: err}
		}
	}
}

// look returns what is at a name: os.ErrNotExist where nothing is.
func (p *place) look(name string) (identity, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return identity{}, st, &os.PathError{Op: "stat", Path: p.path, Err: err}
	}
	return identity{uint64(st.Dev), st.Ino}, st, nil
}

// vacant says what keeps us from taking the path: anything but a socket of
// this user, and that too if it is live and may not be.
func (p *place) vacant(live bool) error {
	_, st, err := p.look(p.name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return hinted{fmt.Errorf("%s is there already, and is no socket", p.path), "take another path"}
	case int(st.Uid) != os.Geteuid():
		return hinted{fmt.Errorf("%s is a socket of uid %d, and this is uid %d", p.path, st.Uid, os.Geteuid()), "remove it if nobody uses it, run both as one user, or take another path"}
	case live:
		return nil
	}
	conn, err := p.dial(context.Background())
	switch {
	case errors.Is(err, ErrNobody):
		return nil
	case errors.Is(err, errFull):
		return &InUseError{Path: p.path, UID: int(st.Uid)}
	case err != nil:
		return err
	}
	defer conn.Close()
	cred, err := credentials(conn)
	if err != nil {
		return err
	}
	return &InUseError{Path: p.path, PID: int(cred.Pid), UID: int(cred.Uid)}
}

// errFull says that somebody listens, but has not accepted for long.
var errFull = errors.New("its backlog is full")

// dial connects to whoever listens at the path.
func (p *place) dial(ctx context.Context) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", p.address(p.name))
	switch {
	case err == nil:
		return conn.(*net.UnixConn), nil
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("%s: %w (%w)", p.path, ErrNobody, errors.Unwrap(err))
	case errors.Is(err, unix.EAGAIN):
		return nil, fmt.Errorf("%s: %w (%w)", p.path, errFull, errors.Unwrap(err))
	case errors.Is(err, unix.EACCES):
		return nil, hinted{fmt.Errorf("%s: %w", p.path, err), "run both as one user, or take another path"}
	case errors.Is(err, unix.EPROTOTYPE):
		return nil, hinted{fmt.Errorf("%s is another program's socket: %w", p.path, err), "take another path"}
	}
	return nil, fmt.Errorf("%s: %w", p.path, err)
}

// take makes a socket that listens, and puts its file at the path, over
// whatever is there. The file is this user's alone (0600) from the first
// moment, under a name that nobody knows; it gets its own name by rename(2),
// so that the path never leads to a socket that does not listen yet.
func (p *place) take() (l *net.UnixListener, file identity, err error) {
	hidden := fmt.Sprintf(".takeover-%016x", rand.Uint64())
	address := p.address(hidden)
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var changed error
		if err := c.Control(func(fd uintptr) {
			// bind(2) makes the file with the socket's own mode, less the
			// umask (net/unix/af_unix.c, unix_bind_bsd, since Linux 2.6).
			changed = unix.Fchmod(int(fd), 0o600)
		}); err != nil {
			return err
		}
		return os.NewSyscallError("fchmod", changed)
	}}
	listening, err := config.Listen(context.Background(), "unixpacket", address)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", p.path, err)
	}
	l = listening.(*net.UnixListener)
	l.SetUnlinkOnClose(false)
	defer func() {
		if err != nil {
			l.Close()
			unix.Unlinkat(p.fd(), hidden, 0)
			l, err = nil, fmt.Errorf("%s: %w", p.path, err)
		}
	}()
	// A umask may have taken more than it should.
	if err = unix.Fchmodat(p.fd(), hidden, 0o600, 0); err != nil {
		return l, file, os.NewSyscallError("fchmodat", err)
	}
	if file, _, err = p.look(hidden); err != nil {
		return l, file, err
	}
	return l, file, os.NewSyscallError("renameat", unix.Renameat(p.fd(), hidden, p.fd(), p.name))
}

// clear removes the file at the path, if it is the one.
func (p *place) clear(file identity) error {
	there, _, err := p.look(p.name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil || there != file:
		return err
	}
	return os.NewSyscallError("unlinkat", unix.Unlinkat(p.fd(), p.name, 0))
}
