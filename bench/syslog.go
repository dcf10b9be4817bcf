package main

import (
	"context"
	"fmt"
	"time"
)

const syslogRate = 200_000

func compareSyslog(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Syslog to file"}
	s.text = `Lines of [bench/lines.txt](../bench/lines.txt) in turn, RFC 5424 and RFC 3164, each with a number of its own, to one file of JSON
records with the same fields. udpshard has 2 shards. rsyslog has [bench/rsyslog.conf](../bench/rsyslog.conf), syslog-ng has
[bench/syslog-ng.conf](../bench/syslog-ng.conf). Their records lack the sender's port, and have structured data as a string instead of
an object. syslog-ng asks with SO_RCVBUF, so net.core.rmem_max bounds its buffers; the others use SO_RCVBUFFORCE.

`
	d := load{rate: syslogRate, batch: 64}
	ours := l.udpshardToFile(2)
	if l.has["rsyslogd"] == "" {
		l.lacks("rsyslog", "apt-get install rsyslog")
	} else {
		entrants := against(d, l.rsyslog(), ours)
		if err := l.rounds(ctx, "syslog "+d.String(), entrants); err != nil {
			return s, err
		}
		s.goal("syslog to file at 200,000/s to rsyslog", 0.40, entrants[1].to(entrants[0]))
		lost := entrants[1].lost()
		s.goals = append(s.goals, goal{"syslog to file at 200,000/s, lost", "nothing", percent(lost), lost == 0})
		s.text += table(head("rsyslog"), rows(entrants)) + "\n" + l.commands(entrants) + "\n"
	}
	if l.has["syslog-ng"] == "" {
		l.lacks("syslog-ng", "apt-get install syslog-ng-core, which removes rsyslog on Debian. To have both: "+
			"apt-get download syslog-ng-core libivykis0 libnet1 libpcre3 libwrap0 && for f in *.deb; do dpkg -x $f syslog-ng; done && bench/run --syslog-ng $PWD/syslog-ng")
		return s, nil
	}
	entrants, err := l.atItsBest(ctx, l.ngSyslog(), ours)
	if err != nil {
		return s, err
	}
	rate := entrants[0].load.rate
	if rate < syslogRate {
		s.text += fmt.Sprintf("syslog-ng keeps up with %s/s here: of the rates that were tried, this is the highest at which it lost nothing and was done\nwithin %v after the last datagram. Both receivers got this rate.\n\n", thousands(rate), prompt)
	}
	s.goal(fmt.Sprintf("syslog to file at %s/s to syslog-ng", thousands(rate)), 0.25, entrants[1].to(entrants[0]))
	s.text += table(head("syslog-ng"), rows(entrants)) + "\n" + l.commands(entrants)
	return s, nil
}

// prompt is how soon after the load a receiver that keeps up with the load must be done. A receiver
// with a queue of its own may lose nothing for a while although it is too slow.
const prompt = 500 * time.Millisecond

// atItsBest compares at the highest rate that the first contender sustains in every round.
func (l *lab) atItsBest(ctx context.Context, first, second contender) ([]*entrant, error) {
	const lowest = 10_000
	for rate := syslogRate; rate >= lowest; rate = rate * 85 / 100 / 1000 * 1000 {
		d := load{rate: rate, batch: 64}
		kept := true
		for i := 0; i < 2 && kept; i++ {
			t, err := l.try(ctx, first, d)
			if err != nil {
				return nil, err
			}
			kept = t.keptUp()
			l.logf("%s at %s: lost %d, done %v after the load, %.2f µs", first.name, d, t.lost(), t.late.Round(time.Millisecond), t.perDatagram())
		}
		if !kept {
			continue
		}
		entrants := against(d, first, second)
		if err := l.rounds(ctx, "syslog "+d.String(), entrants); err != nil {
			return nil, err
		}
		for _, t := range entrants[0].trials {
			kept = kept && t.keptUp()
		}
		if kept {
			return entrants, nil
		}
	}
	return nil, fmt.Errorf("%s keeps up with no rate above %d/s", first.name, lowest)
}

func (t trial) keptUp() bool { return t.lost() == 0 && t.late <= prompt }
