package main

import (
	"cmp"
	"fmt"
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

// labels returns the labels of udpshard_build_info.
func (b build) labels() map[string]string {
	return map[string]string{"version": b.version, "commit": b.commit, "go": b.goVersion}
}

func thisBuild() build {
	b := build{version: version, commit: commit, goVersion: runtime.Version(), kernel: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "(devel)" {
			b.version = cmp.Or(b.version, v)
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.commit = cmp.Or(b.commit, s.Value)
			}
		}
	}
	b.version = cmp.Or(b.version, "devel")
	b.commit = cmp.Or(b.commit, "unknown")
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		b.kernel = unix.ByteSliceToString(name.Release[:])
	}
	return b
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go version and kernel",
		Args:    cli.NoArguments,
		Example: "  udpshard version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "udpshard %s\ncommit   %s\ngo       %s %s/%s\nkernel   %s\n",
				b.version, b.commit, b.goVersion, runtime.GOOS, runtime.GOARCH, b.kernel)
			return err
		},
	}
}
