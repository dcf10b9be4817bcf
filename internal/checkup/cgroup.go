package checkup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// cgroups are the control groups of a process, of version 2 or 1.
type cgroups struct {
	paths  []procfs.Cgroup
	mounts []*procfs.MountInfo
	sys    string // where /sys is
}

var errNoCgroup = errors.New("no control group of it is to be seen")

func (h Host) cgroups(fs procfs.FS, p process) (cgroups, error) {
	paths, err := p.Cgroups()
	if err != nil {
		return cgroups{}, err
	}
	mounts, err := fs.GetMounts()
	return cgroups{paths, mounts, h.Sys}, err
}

// dirs returns the folders of a controller from the process's group up to the
// highest that is to be seen: a limit of any of them holds. Version 2 has
// none at its root (cgroups(7), kernel's cgroup-v2.rst).
func (c cgroups) dirs(controller string) (dirs []string, v2 bool, err error) {
	for _, v2 := range []bool{false, true} { // what version 1 has, version 2 has not
		i := slices.IndexFunc(c.paths, func(g procfs.Cgroup) bool {
			return v2 && g.HierarchyID == 0 && len(g.Controllers) == 0 || !v2 && slices.Contains(g.Controllers, controller)
		})
		j := slices.IndexFunc(c.mounts, func(m *procfs.MountInfo) bool {
			_, has := m.SuperOptions[controller]
			return v2 && m.FSType == "cgroup2" || !v2 && m.FSType == "cgroup" && has
		})
		if i < 0 || j < 0 {
			continue
		}
		mount := c.mounts[j]
		// The mount shows its root's part of the hierarchy; without a
		// namespace of control groups, paths are those of the host.
		below := strings.TrimPrefix(c.paths[i].Path, strings.TrimSuffix(mount.Root, "/"))
		below = path.Clean("/" + below)
		if strings.Contains(c.paths[i].Path, "/..") {
			return nil, v2, errNoCgroup // outside of what this namespace shows
		}
		at := filepath.Join(c.sys, strings.TrimPrefix(mount.MountPoint, "/sys"))
		for ; ; below = path.Dir(below) {
			dir := filepath.Join(at, below)
			if _, err := os.Stat(dir); err == nil {
				dirs = append(dirs, dir)
			}
			if below == "/" {
				break
			}
		}
		if len(dirs) == 0 {
			continue
		}
		if controllers, _ := text(at, "cgroup.controllers"); v2 && !slices.Contains(strings.Fields(controllers), controller) {
			continue // version 1 has it, or nobody
		}
		return dirs, v2, nil
	}
	return nil, false, errNoCgroup
}

// least returns the lowest of a limit in the process's groups and the folder
// that sets it; unlimited, if none does. Read returns what a folder says.
func least(dirs []string, read func(dir string) (uint64, error)) (value uint64, at string) {
	value = unlimited
	for _, dir := range dirs {
		if v, err := read(dir); err == nil && v < value {
			value, at = v, dir
		}
	}
	return value, at
}

// maxOf reads a file that holds a number or "max".
func maxOf(name string) func(dir string) (uint64, error) {
	return func(dir string) (uint64, error) {
		content, err := text(dir, name)
		if err != nil || content == "max" {
			return unlimited, err
		}
		return strconv.ParseUint(content, 10, 64)
	}
}

var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// raise returns the command that lifts a limit of a control group: by what
// manages it, so that it stays.
func raise(dir, property, dockerFlag, file, value string) string {
	for at := dir; at != "/" && at != "."; at = path.Dir(at) {
		if id := containerID.FindString(path.Base(at)); id != "" {
			return fmt.Sprintf("docker update %s %s", dockerFlag, id[:12])
		}
		if unit := path.Base(at); strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, ".slice") || strings.HasSuffix(unit, ".scope") {
			return fmt.Sprintf("systemctl set-property %s %s", unit, property)
		}
	}
	return fmt.Sprintf("echo %s > %s", value, filepath.Join(dir, file))
}
