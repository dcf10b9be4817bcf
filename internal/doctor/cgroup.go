package doctor

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

// manager is what keeps a control group, and starts again what ends there.
type manager struct {
	tool string // docker, podman, kubernetes, systemctl, or none
	name string // of the container, or the unit
}

// managerIn reads it in the path of a control group.
func managerIn(dir string) manager {
	for at := path.Clean("/" + dir); at != "/"; at = path.Dir(at) {
		base := path.Base(at)
		id := containerID.FindString(base)
		switch {
		case id != "" && strings.Contains(at, "kubepods"):
			return manager{"kubernetes", id[:12]}
		case id != "" && strings.Contains(at, "libpod"):
			return manager{"podman", id[:12]}
		case id != "" && strings.Contains(at, "docker"):
			return manager{"docker", id[:12]}
		case id != "":
			return manager{}
		case strings.HasSuffix(base, ".service"), strings.HasSuffix(base, ".slice"), strings.HasSuffix(base, ".scope"):
			tool := "systemctl"
			if strings.Contains(path.Dir(at), "/user@") {
				tool = "systemctl --user"
			}
			return manager{tool, base}
		}
	}
	return manager{}
}

// managerOf returns a process's. Of version 1's hierarchies one says more than
// others.
func managerOf(fs procfs.FS, pid int) (m manager) {
	p, err := fs.Proc(pid)
	if err != nil {
		return m
	}
	groups, _ := p.Cgroups()
	for _, g := range groups {
		if m == (manager{}) {
			m = managerIn(g.Path)
		}
	}
	return m
}

// service says that it is a unit that runs one program, and not the user's
// own manager, in which all of a session may run.
func (m manager) service() bool {
	return strings.HasSuffix(m.name, ".service") && !strings.HasPrefix(m.name, "user@")
}

// stop returns the command that ends what is in it, none if it would start
// nothing again.
func (m manager) stop() string {
	switch {
	case m.tool == "kubernetes":
		return "stop the pod of container " + m.name
	case m.tool == "docker", m.tool == "podman", m.service():
		return m.tool + " stop " + m.name
	}
	return ""
}

// raise returns the command that lifts a limit of a control group: by what
// manages it, so that it stays.
func raise(dir, property, dockerFlag, file, value string) string {
	switch m := managerIn(dir); {
	case m.tool == "kubernetes":
		return "raise resources.limits of the pod of container " + m.name
	case m.tool == "docker", m.tool == "podman":
		return fmt.Sprintf("%s update %s %s", m.tool, dockerFlag, m.name)
	case m.tool != "":
		return fmt.Sprintf("%s set-property %s %s", m.tool, m.name, property)
	}
	return fmt.Sprintf("echo %s > %s", value, filepath.Join(dir, file))
}
