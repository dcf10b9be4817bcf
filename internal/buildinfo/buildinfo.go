// Package buildinfo describes the running binary, and the kernel.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Info is the version of a binary, the commit that it was built from, the version of Go, and the
// release of the kernel.
type Info struct{ Version, Commit, Go, Kernel string }

// Read returns the Info of this process. version and commit are those of the linker. An empty one is
// replaced by what the go command has recorded: the version has the suffix +dirty, and the commit
// -dirty, if the clone had changes that were not committed. A build outside a clone, or with
// -buildvcs=false, has the commit "unknown"; a build without a version, "devel".
func Read(version, commit string) Info {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = &debug.BuildInfo{}
	}
	info := newInfo(version, commit, recorded)
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		info.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return info
}

func newInfo(version, commit string, recorded *debug.BuildInfo) Info {
	if v := recorded.Main.Version; v != "(devel)" {
		version = cmp.Or(version, v)
	}
	settings := make(map[string]string)
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision != "" && settings["vcs.modified"] == "true" {
		revision += "-dirty"
	}
	return Info{
		Version: cmp.Or(version, "devel"),
		Commit:  cmp.Or(commit, revision, "unknown"),
		Go:      runtime.Version(),
		Kernel:  "unknown",
	}
}

// String returns the text of udpshard version.
func (i Info) String() string {
	return fmt.Sprintf("udpshard %s\ncommit   %s\ngo       %s %s/%s\nkernel   %s\n",
		i.Version, i.Commit, i.Go, runtime.GOOS, runtime.GOARCH, i.Kernel)
}
