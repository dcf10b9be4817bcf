package main

import (
	"context"
	"fmt"
	"slices"
)

// shipShards is the number of shards of udpshard: one is enough for the rates, and ships beside the
// other CPU.
const shipShards = 1

// shipRate is a rate at which rsyslog ships without losses, and messageRate is one for brokers that
// get a message a record.
const (
	shipRate    = 50_000
	messageRate = 20_000
)

func compareSpool(ctx context.Context, l *lab) (section, error) {
	s := section{title: "A spool beside a file"}
	to, err := listenLines(0, nil)
	if err != nil {
		return s, err
	}
	defer to.stop()
	file := l.udpshardToFile(2)
	file.name = "file"
	dead := l.udpshardTo("spool, target dead", 2, nil, "tcp://127.0.0.1:@PORT@")
	works := l.udpshardTo("spool, target works", 2, to, "tcp://127.0.0.1:@PORT@")
	var lines [][]string
	var all []*entrant
	for _, rate := range []int{shipRate, syslogRate} {
		d := load{rate: rate, batch: 64}
		entrants := against(d, file, dead, works)
		if err := l.rounds(ctx, "spool "+d.String(), entrants); err != nil {
			return s, err
		}
		s.goal(fmt.Sprintf("a spool with a dead target at %s to a file", d), 1.10, entrants[1].to(entrants[0]))
		lines, all = append(lines, rows(entrants)...), append(all, entrants...)
	}
	s.text = `A spool has checksums. The dead target is a port where nothing listens; the target that works counts lines by TCP.

` + table(head("file"), lines) + "\n" + l.commands(all)
	return s, nil
}

// shipping is a way of shipping.
type shipping struct {
	name string
	rate int
	goal float64 // the most that the second contender may cost, in costs of the first
	open func(*lab, context.Context) (sink, []contender, error)

	title, about string

	programs map[string]string // that the comparison needs, with the command that installs them
}

// What the report says about each way of shipping.
const (
	aboutTCP = `Records of the same fields, as lines over one connection to a program that counts lines. The queue of rsyslog is in memory, and
goes to the disk when there are many records. udpshard writes each record to its spool first.`
	aboutTLS   = `As by TCP, with a verified certificate. rsyslog has two drivers.`
	aboutRELP  = `To rsyslog with imrelp, which writes a file. With a queue, omrelp did not keep up with this rate.`
	aboutKafka = `To one broker, kfake of franz-go with a data folder. Producers are idempotent, and all replicas acknowledge. udpshard compresses
with zstd.`
	aboutNATS = `To nats-server with a file store, beside a file of the same records.`
)

const installRsyslog = "apt-get install rsyslog"

var shippings = []shipping{
	{"tcp", shipRate, 0.40, (*lab).overTCP, "Shipping by TCP", aboutTCP, map[string]string{"rsyslogd": installRsyslog}},
	{"tls", shipRate, 0.50, (*lab).overTLS, "Shipping by TLS", aboutTLS, map[string]string{"rsyslogd": installRsyslog + " rsyslog-gnutls rsyslog-openssl"}},
	{"relp", messageRate, 0.50, (*lab).overRELP, "Shipping by RELP", aboutRELP, map[string]string{"rsyslogd": installRsyslog + " rsyslog-relp"}},
	{"kafka", messageRate, 0.65, (*lab).overKafka, "Shipping to Kafka", aboutKafka, map[string]string{"rsyslogd": installRsyslog + " rsyslog-kafka", "kcat": "apt-get install kcat"}},
	{"nats", shipRate, 1.25, (*lab).overNATS, "Shipping to NATS JetStream", aboutNATS, nil},
}

// compareShipping returns the comparison of one way of shipping.
func compareShipping(name string) func(context.Context, *lab) (section, error) {
	return func(ctx context.Context, l *lab) (section, error) {
		w := shippings[slices.IndexFunc(shippings, func(w shipping) bool { return w.name == name })]
		s := section{title: w.title}
		for program, remedy := range w.programs {
			if l.has[program] == "" {
				l.lacks(w.title, remedy)
				return s, nil
			}
		}
		to, contenders, err := w.open(l, ctx)
		if err != nil {
			return s, err
		}
		defer to.stop()
		d := load{rate: w.rate, batch: 64}
		entrants := against(d, contenders...)
		if err := l.rounds(ctx, w.name+" "+d.String(), entrants); err != nil {
			return s, err
		}
		first, second := entrants[0], entrants[1]
		s.goal(fmt.Sprintf("%s at %s to %s", second.name, d, first.name), w.goal, second.to(first))
		s.text = w.about + fmt.Sprintf(` udpshard has %d shard, and rsyslog
%d thread that receives, with [bench/rsyslog.conf](../bench/rsyslog.conf) and the actions of
[bench/shippers.go](../bench/shippers.go).

`, shipShards, shipShards) + table(head(first.name), rows(entrants)) + "\n" + l.commands(entrants)
		return s, nil
	}
}
