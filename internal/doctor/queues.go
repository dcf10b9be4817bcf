package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sys"
)

// queues checks over how many CPUs each device spreads the kernel's part of receiving: by receive
// queues of the device (RSS), or in the kernel (RPS; Documentation/networking/scaling.rst).
func (e *examination) queues(r *results) {
	devices := e.devices()
	if len(devices) == 0 {
		e.noDevices(r)
	}
	for _, name := range devices {
		e.spread(r, name)
	}
}

func (e *examination) queueDirs(device string) []string {
	dirs, _ := filepath.Glob(filepath.Join(e.Sys, "class/net", device, "queues/rx-*"))
	return dirs
}

// spread checks one device.
func (e *examination) spread(r *results, name string) {
	dirs, steered := e.queueDirs(name), 0
	for _, dir := range dirs {
		// With a mask of zeros, the CPU of the interrupt does all the work.
		if mask, err := text(dir, "rps_cpus"); err == nil && strings.Trim(mask, "0,") != "" {
			steered++
		}
	}
	var cores []int
	for _, l := range e.listeners {
		cores = append(cores, l.cores()...)
	}
	cores = unique(cores)
	queues, shards := format.Plural(len(dirs), "receive queue"), format.Plural(e.shards(), "shard")
	switch {
	case len(dirs) == 0:
		r.skip("%s: no receive queues in sysfs", name)
	case len(dirs) > 1 && steered > 0:
		r.ok("%s: %s, RPS on %d of them", name, queues, steered)
	case len(dirs) > 1:
		r.ok("%s: %s, without RPS", name, queues)
	case steered > 0:
		r.ok("%s: %s, spread by RPS", name, queues)
	case len(cores) < 2 || e.shards() < 2:
		r.ok("%s: %s, which is enough for %s", name, queues, shards)
	default:
		remedy := fmt.Sprintf("echo %s > %s/rps_cpus", cpuMask(cores), dirs[0])
		if channels, err := e.Ethtool.Channels(name); err == nil && channels.MostCombined > channels.Combined && channels.Combined > 0 {
			remedy = fmt.Sprintf("ethtool -L %s combined %d", name, min(channels.MostCombined, len(cores)))
		}
		r.warn(remedy, "%s: %s and no RPS: one CPU does the kernel's part for all %s", name, queues, shards)
	}
}

// cpuMask writes CPUs as a mask of the kernel: groups of 32 bits in hexadecimal, the highest
// first, with commas between the groups (bitmap_print_to_pagebuf).
func cpuMask(cpus sys.CPUs) string {
	groups := []uint32{0}
	for _, cpu := range cpus {
		for len(groups) <= cpu/32 {
			groups = append(groups, 0)
		}
		groups[cpu/32] |= 1 << (cpu % 32)
	}
	slices.Reverse(groups)
	text := fmt.Sprintf("%x", groups[0])
	for _, g := range groups[1:] {
		text += fmt.Sprintf(",%08x", g)
	}
	return text
}
