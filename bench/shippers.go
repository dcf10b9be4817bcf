package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// udpshardTo is udpshard with a spool, and a target for each URL. In an URL, @PORT@ is the port of
// the sink, and @DIR@ the temporary folder. Without a sink, nothing listens at the port.
func (l *lab) udpshardTo(name string, shards int, to sink, targets ...string) contender {
	cpus := l.toFile()
	return contender{
		name: name, cpus: cpus, sockets: shards, ships: to,
		command: func(port int, _ string) ([]string, error) {
			spool := l.path("spool")
			argv := []string{l.has["udpshard"], "serve", "--listen", at(port), "--shards", strconv.Itoa(shards), "--cpus", list(cpus[:min(shards, len(cpus))])}
			for _, target := range targets {
				argv = append(argv, "--to", l.fill(target, to))
			}
			argv = append(argv, "--spool", spool, "--http", "", "--stats-interval", "0", "--log-format", "json")
			return argv, os.RemoveAll(spool)
		},
	}
}

// rsyslogTo is rsyslog with an action that brings records to a sink. One thread receives: two cost more
// at these rates.
func (l *lab) rsyslogTo(name string, to sink, parts rsyslogParts) contender {
	parts.action = l.fill(parts.action, to)
	c := l.rsyslogWith(name, shipShards, parts)
	c.ships = to
	plain := c.command
	c.command = func(port int, file string) ([]string, error) {
		queues, err := filepath.Glob(l.path("forward*"))
		for _, queue := range queues { // of the trial before
			err = errors.Join(err, os.Remove(queue))
		}
		argv, confErr := plain(port, file)
		return argv, errors.Join(err, confErr)
	}
	return c
}

// fill fills in @PORT@ and @DIR@.
func (l *lab) fill(text string, to sink) string {
	port := "1" // tcpmux: nothing listens there
	if to != nil {
		port = strconv.Itoa(to.port())
		l.hide = append(l.hide, ":"+port, ":6514")
	}
	return replace(text, "@PORT@", port, "@DIR@", l.dir)
}

// reliable is the queue of an action that the documentation of rsyslog recommends for forwarding: a
// collector that is away delays no input, and records go to the disk when there are many.
const reliable = ` action.resumeRetryCount="-1" queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="1024"` +
	` queue.filename="forward" queue.maxDiskSpace="1g"`

const omfwd = `type="omfwd" target="127.0.0.1" port="@PORT@" protocol="tcp"`

func (l *lab) overTCP(context.Context) (sink, []contender, error) {
	to, err := listenLines(0, nil)
	if err != nil {
		return nil, nil, err
	}
	return to, []contender{
		l.rsyslogTo("rsyslog omfwd with a queue", to, rsyslogParts{action: omfwd + reliable}),
		l.udpshardTo("udpshard tcp", shipShards, to, "tcp://127.0.0.1:@PORT@"),
		l.rsyslogTo("rsyslog omfwd without a queue", to, rsyslogParts{action: omfwd}),
	}, nil
}

func (l *lab) overTLS(context.Context) (sink, []contender, error) {
	certificate, err := newCertificate(l.path("ca.pem"))
	if err != nil {
		return nil, nil, err
	}
	to, err := listenLines(0, certificate)
	if err != nil {
		return nil, nil, err
	}
	parts := func(driver, queue string) rsyslogParts {
		return rsyslogParts{
			global: `defaultNetstreamDriver="` + driver + `" defaultNetstreamDriverCAFile="` + l.path("ca.pem") + `"`,
			action: omfwd + ` streamDriverMode="1" streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost"` + queue,
		}
	}
	return to, []contender{
		l.rsyslogTo("rsyslog omfwd with gtls and a queue", to, parts("gtls", reliable)),
		l.udpshardTo("udpshard tls", shipShards, to, "tls://127.0.0.1:@PORT@#ca=@DIR@/ca.pem"),
		l.rsyslogTo("rsyslog omfwd with ossl and a queue", to, parts("ossl", reliable)),
	}, nil
}

// relpSinkConf is the configuration of a rsyslog that receives by RELP.
const relpSinkConf = `global(workDirectory="@DIR@" maxMessageSize="64k")
module(load="imrelp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="r" queue.type="FixedArray") { action(type="omfile" file="@FILE@" template="raw") }
input(type="imrelp" address="127.0.0.1" port="@PORT@" maxDataSize="64k" ruleset="r")
`

func (l *lab) overRELP(context.Context) (sink, []contender, error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	conf, file := l.path("imrelp.conf"), l.path("imrelp.json")
	if err := l.configure(conf, relpSinkConf, port, file); err != nil {
		return nil, nil, err
	}
	count := func() (uint64, error) {
		if _, err := os.Stat(file); os.IsNotExist(err) {
			return 0, nil
		}
		return countLines(file)
	}
	to, err := l.startServer(port, count, l.has["rsyslogd"], "-n", "-f", conf, "-i", l.path("imrelp.pid"))
	if err != nil {
		return nil, nil, err
	}
	const omrelp = `type="omrelp" target="127.0.0.1" port="@PORT@"`
	module := `module(load="omrelp")`
	return to, []contender{ // with a queue, omrelp does not keep up with messageRate
		l.rsyslogTo("rsyslog omrelp", to, rsyslogParts{module: module, action: omrelp}),
		l.udpshardTo("udpshard relp", shipShards, to, "relp://127.0.0.1:@PORT@"),
	}, nil
}

const servers = "internal/ship/shiptest/servers"

// buildServer builds a server of the tests.
func (l *lab) buildServer(ctx context.Context, name, pkg string) (string, error) {
	path := l.path(name)
	return path, output(exec.CommandContext(ctx, "go", "build", "-C", servers, "-o", path, pkg))
}

func (l *lab) overKafka(ctx context.Context) (sink, []contender, error) {
	kfaked, err := l.buildServer(ctx, "kfaked", "./kfaked")
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	data := l.path("kafka")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, nil, err
	}
	count := func() (total uint64, err error) {
		argv := []string{"-b", at(port), "-Q"}
		for partition := range partitions {
			argv = append(argv, "-t", fmt.Sprintf("logs:%d:-1", partition))
		}
		out, err := exec.CommandContext(ctx, l.has["kcat"], argv...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("kcat: %w: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			_, offset, _ := strings.Cut(line, "offset ")
			n, err := strconv.ParseUint(strings.TrimSpace(offset), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("kcat: %q", out)
			}
			total += n
		}
		return total, nil
	}
	to, err := l.startServer(port, count, kfaked, at(port), data, "logs", strconv.Itoa(partitions))
	if err != nil {
		return nil, nil, err
	}
	parts := func(codec string) rsyslogParts {
		return rsyslogParts{module: `module(load="omkafka")`, action: `type="omkafka" broker=["127.0.0.1:@PORT@"] topic="logs" partitions.auto="on"` +
			` confParam=["compression.codec=` + codec + `","enable.idempotence=true","acks=all"]` + reliable}
	}
	perBatch := l.udpshardTo("udpshard kafka, many records a message", shipShards, to, "kafka://127.0.0.1:@PORT@/logs#per=batch")
	perBatch.ships, perBatch.acknowledged = nil, true
	return to, []contender{
		l.rsyslogTo("rsyslog omkafka with zstd", to, parts("zstd")),
		l.udpshardTo("udpshard kafka", shipShards, to, "kafka://127.0.0.1:@PORT@/logs"),
		l.rsyslogTo("rsyslog omkafka without compression", to, parts("none")),
		perBatch,
	}, nil
}

// partitions of the topic.
const partitions = 4

func (l *lab) overNATS(ctx context.Context) (sink, []contender, error) {
	program, err := l.buildServer(ctx, "nats-server", "github.com/nats-io/nats-server/v2")
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	to, err := l.startServer(port, nil, program, "-a", "127.0.0.1", "-p", strconv.Itoa(port), "-js", "-sd", l.path("jetstream"))
	if err != nil {
		return nil, nil, err
	}
	file := l.udpshardToFile(shipShards)
	file.name = "udpshard to a file"
	perBatch := l.udpshardTo("udpshard nats, many records a message", shipShards, to, "nats://127.0.0.1:@PORT@/logs#create_stream=true&per=batch")
	perRecord := l.udpshardTo("udpshard nats", shipShards, to, "nats://127.0.0.1:@PORT@/logs#create_stream=true")
	for _, c := range []*contender{&perBatch, &perRecord} {
		c.ships, c.acknowledged = nil, true
	}
	return to, []contender{file, perBatch, perRecord}, nil
}
