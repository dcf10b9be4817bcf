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

	"github.com/udpshard/udpshard/internal/sys"
)

// socketPath is a path for a socket: an open folder, and a name in the folder.
type socketPath struct {
	folder *os.File
	path   string // absolute
	name   string
	locked *os.File // the lock file, after lock; else nil
}

// identity identifies a file, independent of its name. A socket keeps the inode of its file, so
// the number is unique while the socket is open.
type identity struct{ device, inode uint64 }

// CheckPath returns an error if no socket can ever have the path, whatever exists at the path.
func CheckPath(path string) error {
	_, err := absolutePath(path)
	return err
}

// absolutePath returns the absolute path.
func absolutePath(path string) (string, error) {
	switch {
	case strings.HasPrefix(path, "@") || strings.ContainsRune(path, 0):
		return "", hinted{fmt.Errorf("%q is an abstract name, open to every user", path), "use a path in a folder of this user"}
	case path == "" || strings.HasSuffix(path, "/"):
		return "", hinted{fmt.Errorf("%q names no file", path),
			"give the path of a file: " + path + "takeover.sock"}
	}
	absolute, err := filepath.Abs(path)
	if name := filepath.Base(absolute); err == nil && len(absolute) > pathRoom && len(name) > nameRoom {
		return "", fmt.Errorf("%q: the file's name has %d bytes, and a socket's address holds %d of them (unix(7))", path, len(name), nameRoom)
	}
	return absolute, err
}

func openSocketPath(path string) (*socketPath, error) {
	absolute, err := absolutePath(path)
	if err != nil {
		return nil, err
	}
	folder, err := os.Open(filepath.Dir(absolute))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, hinted{err, "mkdir -p " + filepath.Dir(absolute) + ", or use another path"}
	case errors.Is(err, os.ErrPermission):
		return nil, hinted{err, "run as the owner of the folder, or use another path"}
	case err != nil:
		return nil, err
	}
	return &socketPath{folder: folder, path: absolute, name: filepath.Base(absolute)}, nil
}

// close also releases the lock.
func (p *socketPath) close() {
	p.folder.Close()
	if p.locked != nil {
		p.locked.Close()
	}
}

func (p *socketPath) fd() int { return int(p.folder.Fd()) }

const (
	// pathRoom: bytes of a path in a socket address: sun_path without the final NUL (unix(7)).
	pathRoom = 107
	// nameRoom: bytes of a name in a socket address, after the descriptor of the folder, which is
	// at most 2^20 by default (fs.nr_open).
	nameRoom = pathRoom - len("/proc/self/fd/1048576/")
)

// address returns the path of a file in the folder for a socket address.
func (p *socketPath) address(name string) string {
	if full := filepath.Join(filepath.Dir(p.path), name); len(full) <= pathRoom {
		return full
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", p.fd(), name)
}

const (
	// lockTimeout: how long to wait for the lock. Other processes hold the lock for a few system
	// calls, unless they are stopped.
	lockTimeout = 5 * time.Second
	// shortLockTimeout: the same while datagrams wait.
	shortLockTimeout = 5 * time.Millisecond
)

// lockName is the file beside the socket whose lock (flock(2)) keeps processes from changing the
// path at the same time. The folder is no substitute: every user who may read a folder may lock
// the folder. Only the user who made the lock file may open it.
func (p *socketPath) lockName() string { return p.name + ".lock" }

// lock keeps other processes of this user from changing the path. The error is ErrPathLocked if
// another process holds the lock for longer than timeout.
func (p *socketPath) lock(timeout time.Duration) error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		file, err := p.openLock()
		if err != nil {
			return err
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && p.isLockFile(file) {
			p.locked = file
			return nil
		}
		file.Close()
		switch {
		case err == nil, errors.Is(err, unix.EINTR): // nil: the file was removed before the lock
		case !errors.Is(err, unix.EWOULDBLOCK):
			return &os.PathError{Op: "flock", Path: file.Name(), Err: err}
		case time.Since(began) > timeout:
			return hinted{fmt.Errorf("lock %s: %w for %s", file.Name(), ErrPathLocked, timeout), "end the stopped process that holds the lock: fuser -v " + file.Name()}
		}
	}
}

// openLock opens the lock file, and creates a missing one. A file that other users could open is
// refused: they could hold the lock.
func (p *socketPath) openLock() (*os.File, error) {
	name := filepath.Join(filepath.Dir(p.path), p.lockName())
	var fd int
	err := retryEINTR(func() (err error) {
		fd, err = unix.Openat(p.fd(), p.lockName(), unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, lockError(&os.PathError{Op: "open", Path: name, Err: err})
	}
	file := os.NewFile(uintptr(fd), name)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		err = os.NewSyscallError("fstat", err)
	} else {
		err = ownFile(name, &st)
	}
	if err == nil && st.Mode&0o777 != 0o600 { // a umask removed bits
		err = os.NewSyscallError("fchmod", unix.Fchmod(fd, 0o600))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// ownFile returns an error if other users may open a file.
func ownFile(name string, st *unix.Stat_t) (err error) {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%s is no regular file", name)
	case int(st.Uid) != os.Geteuid():
		err = fmt.Errorf("%s is a file of uid %d, and this process has uid %d", name, st.Uid, os.Geteuid())
	case st.Mode&0o7777&^0o600 != 0:
		err = fmt.Errorf("%s has mode %#o, and only 0600 keeps other users from the lock", name, st.Mode&0o7777)
	default:
		return nil
	}
	return lockError(err)
}

func lockError(err error) error {
	return hinted{err, "use a path in a folder of this user; if the file exists, remove the file"}
}

// isLockFile reports whether the name of the lock file still leads to file: Server.Close removes
// the lock file.
func (p *socketPath) isLockFile(file *os.File) bool {
	var named, open unix.Stat_t
	return unix.Fstatat(p.fd(), p.lockName(), &named, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstat(int(file.Fd()), &open) == nil && named.Dev == open.Dev && named.Ino == open.Ino
}

// checkFolder refuses a folder in which other users may replace the socket: users with write
// permission, unless the folder is sticky (unlink(2), EPERM).
func (p *socketPath) checkFolder() error {
	info, err := p.folder.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0 {
		return &SharedFolderError{Folder: p.folder.Name(), Mode: mode}
	}
	return nil
}

// Exposure is access of other users to a path, and its remedy.
type Exposure struct{ Finding, Remedy string }

// Exposures returns the accesses of other users to a path at which a process of this user listens;
// the ideal is none. No exposure allows a takeover or the replacement of the socket: Listen
// refuses such paths.
func Exposures(path string) (found []Exposure) {
	p, err := openSocketPath(path)
	if err != nil {
		return nil // Listen has reported the error
	}
	defer p.close()
	folder := p.folder.Name()
	if info, err := p.folder.Stat(); err == nil && info.Mode().Perm()&0o022 != 0 {
		found = append(found, Exposure{fmt.Sprintf("other users may create files in %s, also at the path of the socket while the socket is missing", folder),
			"use a path in a folder of this user"})
	}
	var st unix.Stat_t
	if err := unix.Fstat(p.fd(), &st); err == nil && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		found = append(found, Exposure{fmt.Sprintf("%s is a folder of uid %d, who may replace the socket", folder, st.Uid),
			fmt.Sprintf("chown %d %s", os.Geteuid(), folder)})
	}
	if _, st, err := p.stat(p.name); err == nil && st.Mode&0o077 != 0 {
		found = append(found, Exposure{fmt.Sprintf("%s has mode %#o: other users can connect, and each is refused", p.path, st.Mode&0o777),
			"chmod 600 " + p.path})
	}
	return found
}

// stat returns the file of a name; the error is os.ErrNotExist without a file.
func (p *socketPath) stat(name string) (identity, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return identity{}, st, &os.PathError{Op: "stat", Path: p.path, Err: err}
	}
	return identity{uint64(st.Dev), st.Ino}, st, nil
}

// checkVacant returns an error if the path has a file other than a socket of this user, or, unless
// live, a live socket.
func (p *socketPath) checkVacant(live bool) error {
	_, st, err := p.stat(p.name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return hinted{fmt.Errorf("%s exists and is no socket", p.path), "use another path"}
	case int(st.Uid) != os.Geteuid():
		return hinted{fmt.Errorf("%s is a socket of uid %d, and this process has uid %d", p.path, st.Uid, os.Geteuid()), "remove the socket if no process uses it, run both processes as one user, or use another path"}
	case live:
		return nil
	}
	conn, err := p.dial(context.Background())
	switch {
	case errors.Is(err, ErrNotListening):
		return nil
	case errors.Is(err, errBacklogFull):
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

// errBacklogFull: a process listens, and has not accepted for long.
var errBacklogFull = errors.New("backlog full")

// dial connects to the process that listens at the path.
func (p *socketPath) dial(ctx context.Context) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", p.address(p.name))
	switch {
	case err == nil:
		return conn.(*net.UnixConn), nil
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("%s: %w (%w)", p.path, ErrNotListening, errors.Unwrap(err))
	case errors.Is(err, unix.EAGAIN):
		return nil, fmt.Errorf("%s: %w (%w)", p.path, errBacklogFull, errors.Unwrap(err))
	case errors.Is(err, unix.EACCES):
		return nil, hinted{fmt.Errorf("%s: %w", p.path, err), "run both processes as one user, or use another path"}
	case errors.Is(err, unix.EPROTOTYPE):
		return nil, hinted{fmt.Errorf("%s is another program's socket: %w", p.path, err), "use another path"}
	}
	return nil, fmt.Errorf("%s: %w", p.path, err)
}

// createSocket creates a listening socket, and puts its file at the path, in place of an existing
// file. From the first moment only this user has access to the file (0600), under a random name.
// rename(2) moves the file to the path, so the path never leads to a socket that does not listen
// yet.
func (p *socketPath) createSocket() (l *net.UnixListener, file identity, err error) {
	hidden := fmt.Sprintf(".takeover-%016x", rand.Uint64())
	address := p.address(hidden)
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// bind(2) creates the file with the mode of the socket, less the umask (unix_bind_bsd,
		// net/unix/af_unix.c, since Linux 2.6).
		return sys.ControlRaw(c, func(fd int) error { return os.NewSyscallError("fchmod", unix.Fchmod(fd, 0o600)) })
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
	// A umask may have removed bits.
	if err = unix.Fchmodat(p.fd(), hidden, 0o600, 0); err != nil {
		return l, file, os.NewSyscallError("fchmodat", err)
	}
	if file, _, err = p.stat(hidden); err != nil {
		return l, file, err
	}
	return l, file, os.NewSyscallError("renameat", unix.Renameat(p.fd(), hidden, p.fd(), p.name))
}

// removeSocket removes the lock file and, if it is the given file, the file at the path.
func (p *socketPath) removeSocket(file identity) error {
	there, _, err := p.stat(p.name)
	switch {
	case err == nil && there != file: // another process listens
		return nil
	case err == nil:
		err = os.NewSyscallError("unlinkat", unix.Unlinkat(p.fd(), p.name, 0))
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	unix.Unlinkat(p.fd(), p.lockName(), 0) // a remaining lock file is used again
	return err
}
