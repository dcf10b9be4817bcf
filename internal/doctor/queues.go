package doctor

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// queues judges, for each device, over how many CPUs the kernel's part of
// receiving is spread: by receive queues of its own (RSS), or by the kernel
// (RPS; Documentation/networking/scaling.rst); and then by which fields.
func (e *examination) queues() []Finding {
	const c check = "rx queues"
	devices := e.devices()
	if len(devices) == 0 {
		return []Finding{e.unseenDevices(c)}
	}
	var findings []Finding
	for _, name := range devices {
		dirs, _ := filepath.Glob(filepath.Join(e.Sys, "class/net", name, "queues/rx-*"))
		if len(dirs) == 0 {
			findings = append(findings, c.skip("%s: its queues can't be seen in sysfs", name))
			continue
		}
		findings = append(findings, e.spread(c, name, dirs))
		if len(dirs) > 1 {
			findings = append(findings, e.hash(name)...)
		}
	}
	return findings
}

// spread judges a device by its queues' folders.
func (e *examination) spread(c check, name string, dirs []string) Finding {
	steered := 0
	for _, dir := range dirs {
		// A mask of zeros means that the CPU of the interrupt does it all.
		if mask, err := text(dir, "rps_cpus"); err == nil && strings.Trim(mask, "0,") != "" {
			steered++
		}
	}
	queues, need := format.Plural(len(dirs), "receive queue"), shards(e.listeners)
	switch {
	case len(dirs) > 1 && steered > 0:
		return c.ok("%s: %s, RPS on %d of them", name, queues, steered)
	case len(dirs) > 1:
		return c.ok("%s: %s, without RPS", name, queues)
	case steered > 0:
		return c.ok("%s: %s, spread by RPS", name, queues)
	case need < 2 || len(e.shardCores()) < 2:
		return c.ok("%s: %s, which is enough for %s", name, queues, format.Plural(need, "shard"))
	}
	remedy := fmt.Sprintf("echo %s > %s/rps_cpus", mask(e.shardCores()), dirs[0])
	if channels, err := e.Ethtool.Channels(name); err == nil && channels.MostCombined > channels.Combined && channels.Combined > 0 {
		remedy = fmt.Sprintf("ethtool -L %s combined %d", name, min(channels.MostCombined, len(e.shardCores())))
	}
	return c.warn(remedy, "%s: %s and no RPS: one CPU does the kernel's part for all %s", name, queues, format.Plural(need, "shard"))
}

// shardCores returns the CPUs of all listeners' shards, in order.
func (e *examination) shardCores() []int {
	all := Listener{}
	for _, l := range e.listeners {
		all.CPUs = append(all.CPUs, l.cores()...)
	}
	all.Shards = len(all.CPUs)
	return all.cores()
}
