package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/packet/dns"
)

// Of a folder, the regular files with the name of a zone are read: also those that are links, but
// no backups and hidden files.
func TestFilesOfAFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.zone", "a.db", "example.org", "db.example.net", "local", ".hidden.zone", "a.db~", "a.zone.bak",
		"a.zone.rpmsave", ".a.zone.swp", "#a.zone#", "example.org.jnl", "named.conf", "a b.c", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.zone"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("local", filepath.Join(dir, "link.zone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("none", filepath.Join(dir, "lost.zone")); err != nil {
		t.Fatal(err)
	}
	l := config.NewListener()
	l.Zones, l.ZoneDirs = []dns.Source{{Origin: "x", File: "first"}}, []string{dir}
	sources, err := zoneSources(l)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(fmt.Sprint(sources), dir+"/", "")
	if want := "[{x first} { a.db} { b.zone} { db.example.net} { example.org} { link.zone} { lost.zone}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
