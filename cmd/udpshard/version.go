package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// version and commit are set by the linker (-X main.version=…). The default is the version and the
// commit that the go command has recorded in the binary.
var version, commit string

// build describes the binary and the kernel.
type build struct{ version, commit, goVersion, kernel string }

// thisBuild returns the build of this process.
func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b := newBuild(version, commit, info)
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		b.kernel = unix.ByteSliceToString(name.Release[:])
	}
	return b
}

// newBuild returns a build with a version and a commit. An empty one is replaced by the one in info:
// the version has the suffix +dirty, and the commit -dirty, if the clone had changes that were not
// committed. A build outside a clone, or with -buildvcs=false, has no commit in info, and a version
// only if it was installed by go install MODULE@VERSION.
func newBuild(version, commit string, info *debug.BuildInfo) build {
	if v := info.Main.Version; v != "(devel)" {
		version = cmp.Or(version, v)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision != "" && settings["vcs.modified"] == "true" {
		revision += "-dirty"
	}
	return build{
		version:   cmp.Or(version, "devel"),
		commit:    cmp.Or(commit, revision, "unknown"),
		goVersion: runtime.Version(),
		kernel:    "unknown",
	}
}

// versionText returns what the command version prints.
func versionText() string {
	b := thisBuild()
	return fmt.Sprintf("udpshard %s\ncommit   %s\ngo       %s %s/%s\nkernel   %s\n",
		b.version, b.commit, b.goVersion, runtime.GOOS, runtime.GOARCH, b.kernel)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go version and kernel",
		Args:    cli.NoArguments,
		Example: "  udpshard version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}
