// Package udpshard_test holds the module's packages to their order: imports
// point one way, and unsafe and raw system calls stay behind one wall.
package udpshard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/udpshard/udpshard/"

// mayImport says which packages of the module each may import. A package
// that is not here fails the test: decide where it stands.
var mayImport = map[string][]string{
	"internal/server":                       {"internal/handoff/succession", "internal/preflight", "internal/config", "internal/output", "internal/output/file", "shard", "internal/engine", "internal/steer", "internal/handoff", "internal/handoff/takeover", "metrics", "metrics/prom", "packet", "packet/dns", "packet/syslog", "internal/connlimit", "internal/loadgen", "internal/sockets", "internal/holder", "internal/doctor", "internal/cli", "internal/client", "internal/format", "internal/regular", "internal/selftest", "internal/sys", "internal/handoff/systemd", "internal/history", "internal/hostport", "internal/logging", "internal/dnsservice", "internal/httpaccess", "internal/ship", "internal/statuspage", "internal/spool", "internal/ship/targets"},
	"cmd/udpshard":                          {"internal/server", "internal/preflight", "internal/config", "internal/cli", "internal/client", "internal/doctor", "internal/format", "internal/loadgen", "internal/selftest", "internal/sending", "internal/sockets", "internal/buildinfo", "internal/spool/report", "internal/statusreport", "internal/sys", "internal/top", "internal/zonecheck", "shard"},
	"internal/ship":                         {"internal/cli", "internal/spool", "metrics", "packet/record"},
	"internal/ship/http":                    {"internal/cli", "internal/ship", "packet/record"},
	"internal/ship/shiptest":                {"internal/ship"},
	"internal/ship/kafka":                   {"internal/cli", "internal/ship", "packet/record"},
	"internal/ship/nats":                    {"internal/cli", "internal/ship", "packet/record"},
	"internal/ship/relp":                    {"internal/cli", "internal/ship"},
	"internal/ship/stream":                  {"internal/cli", "internal/dnstap", "internal/ship"},
	"internal/ship/targets":                 {"internal/cli", "internal/ship", "internal/ship/stream", "internal/ship/kafka", "internal/ship/nats", "internal/ship/relp", "internal/ship/http"},
	"internal/ship/shiptest/servers/kfaked": {},
	"internal/spool":                        {"internal/output/file", "metrics"},
	"internal/spool/report":                 {"internal/cli", "internal/format", "internal/ship/targets", "internal/spool"},
	"internal/output":                       {"internal/output/file", "metrics", "packet"},
	"internal/output/file":                  {"internal/dnstap", "metrics"},
	"shard":                                 {"internal/engine", "internal/steer", "packet", "metrics", "internal/sys", "internal/holder", "internal/rate", "internal/hostport"},
	"internal/engine":                       {"internal/steer", "internal/sys", "metrics"},
	"internal/steer":                        {},
	"internal/handoff/succession":           {"internal/cli", "internal/handoff", "internal/handoff/takeover", "internal/output/file", "internal/sys", "metrics"},
	"internal/handoff/takeover":             {"internal/handoff", "internal/sys"},
	"metrics":                               {"internal/sys"},
	"metrics/prom":                          {"metrics"},
	"packet":                                {"packet/record", "internal/sys"},
	"packet/dns/cookie":                     {},
	"packet/dns":                            {"internal/arena", "packet", "packet/dns/cookie", "packet/record", "internal/dnsrecord", "internal/masterfile", "internal/rdata", "internal/rate", "internal/regular"},
	"internal/masterfile":                   {"internal/rdata", "internal/regular"},
	"internal/dnsrecord":                    {"internal/dnstap", "internal/rdata", "packet/record"},
	"internal/dnstap":                       {},
	"packet/syslog":                         {"packet", "packet/record"},
	"packet/record":                         {},
	"internal/loadgen":                      {"internal/cli", "internal/format", "internal/hostport", "internal/sys", "metrics", "internal/client"},
	"internal/doctor":                       {"internal/cli", "internal/format", "internal/probe", "internal/sockets", "internal/sys"},
	"internal/connlimit":                    {},
	"internal/arena":                        {},
	"internal/zonecheck":                    {"internal/cli", "internal/config", "internal/format", "packet/dns"},
	"internal/dnsservice":                   {"internal/dnstcp", "internal/regular", "internal/sys", "metrics", "packet", "packet/dns", "packet/dns/cookie"},
	"internal/dnstcp":                       {"internal/connlimit"},
	"internal/history":                      {"metrics"},
	"internal/logging":                      {"metrics"},
	"internal/rate":                         {},
	"internal/config":                       {"internal/cli", "internal/client", "internal/handoff/takeover", "internal/hostport", "internal/httpaccess", "internal/output", "internal/regular", "internal/ship", "internal/ship/targets", "internal/steer", "packet", "packet/dns", "packet/dns/cookie", "packet/syslog", "shard"},
	"internal/preflight":                    {"internal/spool", "internal/cli", "internal/client", "internal/config", "internal/doctor", "internal/format", "internal/handoff/takeover", "internal/holder", "internal/output", "internal/regular", "internal/sockets", "internal/sys", "metrics", "packet/dns", "shard"},
	"internal/cli":                          {},
	"internal/client":                       {"internal/cli", "internal/history", "internal/hostport", "internal/regular", "internal/httpaccess", "metrics"},
	"internal/format":                       {},
	"internal/statusreport":                 {"internal/cli", "internal/client", "internal/format", "internal/overview", "metrics"},
	"internal/buildinfo":                    {},
	"internal/sending":                      {"internal/cli", "internal/config", "internal/loadgen"},
	"internal/top":                          {"internal/cli", "internal/client", "internal/format", "internal/history", "internal/overview", "metrics"},
	"internal/overview":                     {"internal/doctor", "internal/format", "metrics"},
	"internal/statuspage":                   {"internal/format", "internal/history", "internal/overview", "metrics"},
	"internal/statuspage/browsertest":       {},
	"internal/holder":                       {},
	"internal/hostport":                     {},
	"internal/httpaccess":                   {},
	"internal/leak":                         {},
	"internal/probe":                        {"internal/sys"},
	"internal/rdata":                        {},
	"internal/regular":                      {},
	"internal/selftest":                     {"internal/cli", "internal/format", "internal/loadgen", "internal/sys", "metrics", "shard"},
	"internal/sockets":                      {"internal/cli", "internal/format", "internal/holder", "internal/hostport", "internal/sys"},
	"internal/handoff":                      {"internal/sys", "metrics"},
	"internal/handoff/systemd":              {"internal/handoff", "internal/sys"},
	"internal/handoff/systemd/systemdtest":  {"internal/sys"},
	"bench":                                 {},
	"bench/receivers":                       {},
	"internal/sys":                          {},
	"internal/sys/systest":                  {"internal/sys"},
}

// source calls f with each Go file of the module that is no test.
func source(t *testing.T, f func(folder, name string, file *ast.File)) {
	t.Helper()
	goFiles(t, func(folder, name string, file *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			f(folder, name, file)
		}
	})
}

// goFiles calls f with each Go file of the module.
func goFiles(t *testing.T, f func(folder, name string, file *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != "." {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			return err
		}
		f(path.Dir(filepath.ToSlash(name)), name, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func imports(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		unquoted, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, unquoted)
	}
	return paths
}

func TestImportsPointOneWay(t *testing.T) {
	seen := make(map[string]bool)
	source(t, func(folder, name string, file *ast.File) {
		allowed, known := mayImport[folder]
		if !known {
			t.Errorf("%s: the folder has no place in mayImport", name)
		}
		seen[folder] = true
		for _, p := range imports(file) {
			if own, ok := strings.CutPrefix(p, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which does not lie below it", name, own)
			}
		}
	})
	for folder := range mayImport {
		if !seen[folder] {
			t.Errorf("%s has no Go files", folder)
		}
	}
}

// A program that uses package shard gets neither net/http nor the Prometheus client with it.
// github.com/prometheus/procfs, which reads /proc, imports none of the client.
func TestShardNeedsNoHTTP(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./shard").CombinedOutput()
	if err != nil {
		t.Skipf("needs the go command: %v: %s", err, out)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		if dep == "net/http" || strings.Contains(dep, "prometheus") && !strings.HasPrefix(dep, "github.com/prometheus/procfs") {
			t.Errorf("package shard imports %s", dep)
		}
	}
	if !slices.Contains(deps, module+"metrics") {
		t.Errorf("package shard imports no metrics: %s", out)
	}
}

func TestUnsafeStaysBehindTheWall(t *testing.T) {
	raw := []string{"Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "SyscallNoError", "RawSyscallNoError"}
	goFiles(t, func(folder, name string, file *ast.File) {
		if folder == "internal/sys" || folder == "internal/sys/systest" {
			return
		}
		if slices.Contains(imports(file), "unsafe") {
			t.Errorf("%s imports unsafe", name)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); ok && (pkg.Name == "unix" || pkg.Name == "syscall") && slices.Contains(raw, call.Sel.Name) {
				t.Errorf("%s calls %s.%s", name, pkg.Name, call.Sel.Name)
			}
			return true
		})
	})
}

// mayUse is where functions and variables that belong to a command may be used; bench is a command
// of its own.
var mayUse = map[string][]string{
	"os.Exit":     {"cmd/udpshard"},
	"os.Stderr":   {"cmd/udpshard", "internal/cli"},
	"os.Stdin":    {"cmd/udpshard"},
	"fmt.Print":   {},
	"fmt.Println": {},
	"log.Print":   {},
	"log.Println": {},
	"log.Printf":  {},
	"log.Fatal":   {},
	"log.Fatalf":  {},
	"log.Fatalln": {},
	"fmt.Printf":  {},
}

func TestOnlyTheCommandExits(t *testing.T) {
	source(t, func(folder, name string, file *ast.File) {
		if strings.HasPrefix(folder, "bench") || strings.Contains(folder, "/shiptest/servers/") { // commands
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := selector.X.(*ast.Ident); ok {
				use := pkg.Name + "." + selector.Sel.Name
				folders, restricted := mayUse[use]
				if restricted && !slices.Contains(folders, folder) {
					t.Errorf("%s uses %s", name, use)
				}
			}
			return true
		})
	})
}

// maxLines is how many lines the files of a folder may have, without tests.
const maxLines = 3500

// otherMaxLines are the folders with a limit of their own.
var otherMaxLines = map[string]int{"cmd/udpshard": 1000}

func TestPackagesAreSmall(t *testing.T) {
	lines := make(map[string]int)
	source(t, func(folder, name string, _ *ast.File) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines[folder] += strings.Count(string(text), "\n")
	})
	for folder, n := range lines {
		limit, own := otherMaxLines[folder]
		if !own {
			limit = maxLines
		}
		if n > limit {
			t.Errorf("%s has %d lines, and may have %d", folder, n, limit)
		}
	}
}

// The running server keeps its state in parts of its own: the type that joins them has few fields.
func TestServerHasFewFields(t *testing.T) {
	const maxFields = 12
	found := false
	source(t, func(folder, name string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || folder != "internal/server" || spec.Name.Name != "server" {
				return true
			}
			found = true
			if n := spec.Type.(*ast.StructType).Fields.NumFields(); n > maxFields {
				t.Errorf("%s: server has %d fields, at most %d", name, n, maxFields)
			}
			return false
		})
	})
	if !found {
		t.Error("there is no type server in internal/server")
	}
}

func TestGofmt(t *testing.T) {
	gofmt, err := exec.LookPath("gofmt")
	if err != nil {
		t.Skip("needs gofmt, which comes with Go: add $(go env GOROOT)/bin to PATH")
	}
	cmd := exec.Command(gofmt, "-l", ".")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil || len(out) > 0 {
		t.Errorf("gofmt would change %s (%v)", strings.Fields(string(out)), err)
	}
}

// The way from main to the receive call that docs/architecture.md names is the code's.
func TestArchitectureNamesFunctions(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| `([a-z_/]+\\.go)` \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 6 || len(rows) > 8 {
		t.Fatalf("%d functions", len(rows))
	}
	for _, row := range rows {
		code, err := os.ReadFile(row[2])
		if err != nil {
			t.Error(err)
		}
		name := row[1]
		receiver, method, isMethod := strings.Cut(name, ".")
		pattern := `(?m)^func ` + name + `\(`
		if isMethod {
			pattern = `(?m)^func \(\w+ \*?` + receiver + `\) ` + method + `\(`
		}
		if !regexp.MustCompile(pattern).Match(code) {
			t.Errorf("%s has no function %s", row[2], name)
		}
	}
}
