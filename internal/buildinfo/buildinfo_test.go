package buildinfo

import (
	"runtime/debug"
	"testing"
)

// Version and commit are those of the linker, else those that the go command has recorded.
func TestInfo(t *testing.T) {
	const revision = "build\tvcs=git\nbuild\tvcs.revision=bd19439f1fe8\n"
	for _, test := range []struct {
		name, version, commit, info string
		wantVersion, wantCommit     string
	}{
		{name: "no build information", wantVersion: "devel", wantCommit: "unknown"},
		{
			name: "go build -buildvcs=false", info: "mod\tm\t(devel)\n",
			wantVersion: "devel", wantCommit: "unknown",
		},
		{
			name: "go install MODULE@v0.1.0", info: "mod\tm\tv0.1.0\th1:x=\n",
			wantVersion: "v0.1.0", wantCommit: "unknown",
		},
		{
			name: "go build in a clone at a tag", info: "mod\tm\tv0.1.0\n" + revision + "build\tvcs.modified=false\n",
			wantVersion: "v0.1.0", wantCommit: "bd19439f1fe8",
		},
		{
			name: "go build in a clone with changes", info: "mod\tm\tv0.1.0+dirty\n" + revision + "build\tvcs.modified=true\n",
			wantVersion: "v0.1.0+dirty", wantCommit: "bd19439f1fe8-dirty",
		},
		{
			name: "-ldflags", version: "1.2.3", commit: "cafe",
			info:        "mod\tm\tv0.1.0+dirty\n" + revision + "build\tvcs.modified=true\n",
			wantVersion: "1.2.3", wantCommit: "cafe",
		},
		{
			name: "-ldflags with a version alone", version: "1.2.3", info: "mod\tm\tv0.1.0\n" + revision,
			wantVersion: "1.2.3", wantCommit: "bd19439f1fe8",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			info, err := debug.ParseBuildInfo(test.info)
			if err != nil {
				t.Fatal(err)
			}
			b := newInfo(test.version, test.commit, info)
			if b.Version != test.wantVersion || b.Commit != test.wantCommit {
				t.Errorf("got version %s and commit %s, want %s and %s", b.Version, b.Commit, test.wantVersion, test.wantCommit)
			}
		})
	}
}
