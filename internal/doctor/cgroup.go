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
	sys    string // mount point of sysfs
	err    error  // why the groups are not known
}

var errNoCgroup = errors.New("the process's control group is not visible")

func (h Host) cgroups(fs procfs.FS, p process) (c cgroups) {
	c.sys = h.Sys
	if c.paths, c.err = p.Cgroups(); c.err == nil {
		c.mounts, c.err = fs.GetMounts()
	}
	return c
}

// dirs returns the folders of a controller, from the process's group up to the highest group that
// is visible: the limit of each group holds. Version 2 has no limit at its root (cgroups(7),
// kernel's cgroup-v2.rst).
func (c cgroups) dirs(controller string) (dirs []string, v2 bool, err error) {
	if c.err != nil {
		return nil, false, c.err
	}
	for _, v2 := range []bool{false, true} { // a controller is in version 1 or in version 2
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
		// The mount shows the hierarchy below mount.Root. Without a namespace of control groups,
		// paths are those of the host.
		below := strings.TrimPrefix(c.paths[i].Path, strings.TrimSuffix(mount.Root, "/"))
		below = path.Clean("/" + below)
		if strings.Contains(c.paths[i].Path, "/..") {
			return nil, v2, errNoCgroup // outside of this namespace
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
			continue // a controller of version 1, or of neither
		}
		return dirs, v2, nil
	}
	return nil, false, errNoCgroup
}

// lowest returns the lowest limit that read finds in folders, and the folder of that limit;
// unlimited if no folder has a limit.
func lowest(dirs []string, read func(dir string) (uint64, error)) (value uint64, at string) {
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

// manager is the program that manages a control group, and restarts what ends in the group.
type manager struct {
	tool string // docker, podman, kubernetes, systemctl, or ""
	name string // of the container or unit
}

// managerIn returns the manager that the path of a control group names.
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

// managerOf returns the manager of a process. Of the hierarchies of version 1, some name none.
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

// service reports whether the manager's unit runs one program. user@.service runs all programs of
// a user's sessions.
func (m manager) service() bool {
	return strings.HasSuffix(m.name, ".service") && !strings.HasPrefix(m.name, "user@")
}

// stop returns the command that stops the container or service; "" if the manager would not
// restart a process that ends.
func (m manager) stop() string {
	switch {
	case m.tool == "kubernetes":
		return "stop the pod of container " + m.name
	case m.tool == "docker", m.tool == "podman", m.service():
		return m.tool + " stop " + m.name
	}
	return ""
}

// raise returns the command that raises the limit of a control group, through the group's manager,
// so that the limit stays.
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
