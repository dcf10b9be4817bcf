package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed rsyslog.conf
var rsyslogConf string

//go:embed syslog-ng.conf
var syslogNGConf string

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func list(cpus []int) string {
	var words []string
	for _, cpu := range cpus {
		words = append(words, strconv.Itoa(cpu))
	}
	return strings.Join(words, ",")
}

// udpshard serves with shards on cpus in turn. The process may use only these CPUs.
func (l *lab) udpshard(name string, cpus []int, shards int, flags ...string) contender {
	return contender{
		name: name, cpus: cpus, sockets: shards,
		command: func(port int, _ string) ([]string, error) {
			argv := []string{l.has["udpshard"], "serve", "--listen", at(port), "--shards", strconv.Itoa(shards), "--cpus", list(cpus)}
			argv = append(argv, flags...)
			return append(argv, "--http", "", "--stats-interval", "0", "--log-format", "json"), nil
		},
	}
}

func (l *lab) discard(name string, cpus []int, shards int, flags ...string) contender {
	return l.udpshard(name, cpus, shards, append([]string{"--protocol", "discard", "--output", "discard"}, flags...)...)
}

// floor is the C loop. Ask l.has first.
func (l *lab) floor() contender {
	return contender{
		name: "C loop", cpus: l.receiverCPUs(1), sockets: 1,
		command: func(port int, _ string) ([]string, error) { return []string{l.has["floor"], strconv.Itoa(port)}, nil },
	}
}

// counter is a Go program in receivers.
func (l *lab) counter(name, mode string) contender {
	return contender{
		name: name, cpus: l.receiverCPUs(1), sockets: 1,
		command: func(port int, _ string) ([]string, error) { return []string{l.has["receivers"], mode, at(port)}, nil },
	}
}

// toFile returns the CPUs for a contender that needs two: all but the sender's, if two are left.
func (l *lab) toFile() []int {
	return l.cpus[:max(len(l.cpus)-1, min(2, len(l.cpus)))]
}

func (l *lab) udpshardToFile(shards int) contender {
	cpus := l.toFile()
	return contender{
		name: "udpshard", cpus: cpus, sockets: shards, writes: true,
		command: func(port int, file string) ([]string, error) {
			return []string{l.has["udpshard"], "serve", "--listen", at(port), "--shards", strconv.Itoa(shards), "--cpus", list(cpus[:min(shards, len(cpus))]), "--output", "file:" + file,
				"--http", "", "--stats-interval", "0", "--log-format", "json"}, nil
		},
	}
}

func (l *lab) rsyslog() contender {
	c := l.rsyslogWith("rsyslog", 2, rsyslogParts{
		action: `type="omfile" file="@FILE@" asyncWriting="on" ioBufferSize="128k" flushOnTXEnd="off" flushInterval="1"`,
	})
	c.writes = true
	return c
}

// rsyslogParts are parts of rsyslog.conf.
type rsyslogParts struct{ global, module, action string }

// rsyslogWith is rsyslog with a number of threads that receive.
func (l *lab) rsyslogWith(name string, threads int, parts rsyslogParts) contender {
	return contender{
		name: name, cpus: l.toFile(), sockets: 1,
		command: func(port int, file string) ([]string, error) {
			conf := l.path("rsyslog.conf")
			text := replace(rsyslogConf, "@GLOBAL@", parts.global, "@MODULE@", parts.module, "@THREADS@", strconv.Itoa(threads), "@ACTION@", parts.action)
			return []string{l.has["rsyslogd"], "-n", "-f", conf, "-i", l.path("rsyslog.pid")}, l.configure(conf, text, port, file)
		},
	}
}

func (l *lab) ngSyslog() contender {
	c := contender{
		name: "syslog-ng", cpus: l.toFile(), sockets: 2, writes: true,
		command: func(port int, file string) ([]string, error) {
			conf := l.path("syslog-ng.conf")
			argv := []string{l.has["syslog-ng"], "-F", "--no-caps", "-f", conf, "-p", l.path("syslog-ng.pid"), "-c", l.path("syslog-ng.ctl"), "-R", l.path("syslog-ng.persist")}
			return argv, l.configure(conf, syslogNGConf, port, file)
		},
	}
	if l.syslogNG == "" {
		return c
	}
	// In an unpacked package, libraries and modules are not in their usual folders.
	under := func(pattern string) []string {
		found, _ := filepath.Glob(filepath.Join(l.syslogNG, pattern)) // the pattern is well formed
		return found
	}
	var libraries []string
	for _, pattern := range []string{"usr/lib/syslog-ng", "usr/lib/*-linux-gnu", "lib/*-linux-gnu"} {
		libraries = append(libraries, under(pattern)...)
	}
	c.env = []string{"LD_LIBRARY_PATH=" + strings.Join(libraries, ":")}
	plain := c.command
	c.command = func(port int, file string) ([]string, error) {
		argv, err := plain(port, file)
		if modules := under("usr/lib/syslog-ng/[0-9]*"); len(modules) > 0 {
			argv = append(argv, "--module-path", modules[0])
		}
		return argv, err
	}
	return c
}

func (l *lab) configure(name, text string, port int, file string) error {
	text = replace(text, "@PORT@", strconv.Itoa(port), "@FILE@", file, "@DIR@", l.dir)
	return os.WriteFile(name, []byte(text), 0o600)
}

// replace replaces each first string of the pairs by the second.
func replace(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}
