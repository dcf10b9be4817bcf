package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func FuzzFile(f *testing.F) {
	f.Add("listeners:\n  - &a {address: :1, batch: 3, allow: [a, b]}\n  - <<: [*a, {name: x}]\nlog: {level: info}\n? http\n: !!str x\n")
	path := filepath.Join(f.TempDir(), "c.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		os.WriteFile(path, []byte(text), 0o600)
		tm := time.AfterFunc(5*time.Second, func() { os.WriteFile("/tmp/t2/hang", []byte(text), 0o600); panic("hang") })
		_ = newConfig().readFile(path)
		tm.Stop()
	})
}
