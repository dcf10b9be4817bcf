package main

import (
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// What a configuration has wrong is one line in the log for each target, which says what to do. The
// records wait.
func TestWrongTargets(t *testing.T) {
	t.Parallel()
	broker, server := newKafka(t), newNATS(t)
	broker.start(t)
	server.start(t)
	plain := startHTTP(t, nil)
	cert, key := shiptest.NewCA(t).Server(t, "127.0.0.1")
	secure := startTLSCollector(t, cert, key, shiptest.NewCA(t))
	topic := strings.Replace(broker.url(), "/logs", "/no-such-topic", 1)
	subject, _, _ := strings.Cut(server.url(), "#") // no stream, and none is made
	reasons := map[string]string{
		topic:                     "topic no-such-topic does not exist: kafka-topics.sh --create ",
		subject:                   `no stream has the subject logs: make one with "nats stream add `,
		"relp://" + plain.Addr:    "speaks no RELP",
		"tls://" + plain.Addr:     "does not look like a TLS handshake",
		"tls://" + secure.address: "certificate signed by unknown authority",
	}
	var targets []string
	for to := range reasons {
		targets = append(targets, to)
	}
	address, args := targetArgs(t, targets...)
	p := startServe(t, nil, args...)
	newSenders(t, address, 1).send(100, 0)
	eventually(t, "each target fails", func() bool {
		for _, o := range p.outputs() {
			if o.LastError == "" || o.Retries == 0 || o.Waiting != 100 {
				return false
			}
		}
		return true
	})
	for to, o := range p.outputs() {
		if !strings.Contains(o.LastError, reasons[to]) {
			t.Errorf("%s: %s", to, o.LastError)
		}
	}
	p.wantStop()
	if n := len(p.logLines("target failing")); n != len(targets) {
		t.Errorf("%d log lines about %d targets", n, len(targets))
	}
}
