package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// This file starts name servers with the zones of testdata/dns.

// dnsZones are the zones of each name server.
var dnsZones = []string{"example", "sub.example", "kid.odd.example"}

func zoneFile(t *testing.T, zone string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "dns", zone+".zone"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// zoneList returns a text of name and file for each zone.
func zoneList(t *testing.T, format string) (list string) {
	t.Helper()
	for _, zone := range dnsZones {
		list += fmt.Sprintf(format, zone, zoneFile(t, zone))
	}
	return list
}

// dnsFlags returns the flags of `serve` for the zones.
func dnsFlags(t *testing.T, address string) []string {
	args := []string{"--protocol", "dns", "--listen", address, "--output", "discard", "--rrl", "off"}
	for _, zone := range dnsZones {
		args = append(args, "--zone", zoneFile(t, zone))
	}
	return args
}

// startUdpshardDNS starts udpshard with the zones, and returns its address.
func startUdpshardDNS(t *testing.T) string {
	t.Helper()
	address := freePort(t)
	startServe(t, nil, dnsFlags(t, address)...)
	waitForAnswers(t, address)
	return address
}

// startKnot starts Knot with the zones, and returns its address.
func startKnot(t *testing.T) string {
	t.Helper()
	knotd := requireProgram(t, "knotd", "knot")
	address := freePort(t)
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "knot.conf"), fmt.Sprintf(`server:
    listen: %s
    rundir: %s
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 1232
database:
    storage: %[2]s
log:
  - target: stderr
    any: warning
template:
  - id: default
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
zone:
%s`, strings.Replace(address, ":", "@", 1), dir, zoneList(t, "  - domain: %s.\n    file: %s\n")))
	startDaemon(t, knotd, "--config", conf)
	waitForAnswers(t, address)
	return address
}

// startNSD starts NSD with the zones, and returns its address.
func startNSD(t *testing.T) string {
	t.Helper()
	nsd := requireProgram(t, "nsd", "nsd")
	address := freePort(t)
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "nsd.conf"), fmt.Sprintf(`server:
    ip-address: %s
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: %q
    zonelistfile: "%[2]s/zone.list"
    database: ""
    pidfile: ""
    xfrdfile: "%[2]s/xfrd.state"
    xfrdir: %[2]q
    ipv4-edns-size: 1232
    minimal-responses: yes
    zonefiles-write: 0
    rrl-ratelimit: 0
remote-control:
    control-enable: no
%s`, strings.Replace(address, ":", "@", 1), dir, zoneList(t, "zone:\n    name: %s.\n    zonefile: %q\n")))
	startDaemon(t, nsd, "-d", "-c", conf)
	waitForAnswers(t, address)
	return address
}

// waitForAnswers waits until a server answers from each zone.
func waitForAnswers(t *testing.T, address string) {
	t.Helper()
	for _, zone := range dnsZones {
		m := new(dns.Msg).SetQuestion(zone+".", dns.TypeSOA)
		client := dns.Client{Timeout: 200 * time.Millisecond}
		eventually(t, address+" answers from "+zone, func() bool {
			reply, _, err := client.Exchange(m, address)
			return err == nil && len(reply.Answer) == 1
		})
	}
}
