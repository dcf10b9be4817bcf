package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// This file tests with the syslog senders of other projects.

// wantFields compares fields of a record; a nil value means that the field is absent.
func wantFields(t *testing.T, record, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got := record[key]; got != value {
			t.Errorf("got %s=%v, want %v in %v", key, got, value, record)
		}
	}
}

func TestLogger(t *testing.T) {
	logger := requireProgram(t, "logger", "bsdutils")
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	host, port, _ := net.SplitHostPort(address)
	p := startServe(t, nil, "--listen", address, "--output", "file:"+file)
	for _, args := range [][]string{
		{"--rfc5424", "--msgid", "ID47", "--sd-id", "x@32473", "--sd-param", `key="value"`},
		{"--rfc3164"},
	} {
		args = append(args, "--udp", "--server", host, "--port", port, "--priority", "auth.crit", "--tag", "drill", "--id=77", "hello: world")
		if out, err := exec.Command(logger, args...).CombinedOutput(); err != nil {
			t.Fatalf("logger %v: %v\n%s", args, err, out)
		}
	}
	p.waitForDelivered(2)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range readRecords(t, file) {
		wantFields(t, record, map[string]any{
			"hostname": hostname, "appname": "drill", "procid": "77", "facility": "auth", "severity": "crit", "message": "hello: world",
		})
		if record["timestamp"] == nil {
			t.Errorf("no timestamp in %v", record)
		}
		if record["format"] == "rfc5424" {
			wantFields(t, record, map[string]any{"msgid": "ID47"})
			if sd := fmt.Sprint(record["structured_data"].(map[string]any)["x@32473"]); sd != "map[key:value]" {
				t.Errorf("got structured data %s, want key=value", sd)
			}
		} else {
			wantFields(t, record, map[string]any{"format": "rfc3164", "msgid": nil, "structured_data": nil})
		}
	}
}

func TestRsyslogForwards(t *testing.T) {
	rsyslogd := requireProgram(t, "rsyslogd", "rsyslog")
	for template, format := range map[string]string{"RSYSLOG_SyslogProtocol23Format": "rfc5424", "RSYSLOG_TraditionalForwardFormat": "rfc3164", "RSYSLOG_ForwardFormat": "rfc3164"} {
		t.Run(template, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "records.json")
			address := freePort(t)
			p := startServe(t, nil, "--listen", address, "--output", "file:"+file)
			_, port, _ := net.SplitHostPort(address)
			entrance := freePort(t)
			_, entrancePort, _ := net.SplitHostPort(entrance)
			conf := filepath.Join(dir, "rsyslog.conf")
			text := fmt.Sprintf(`global(workDirectory=%q)
module(load="imudp")
input(type="imudp" address="127.0.0.1" port=%q)
action(type="omfwd" target="127.0.0.1" port=%q protocol="udp" template=%q)
`, dir, entrancePort, port, template)
			writeFile(t, conf, text)
			daemon := exec.Command(rsyslogd, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
			if err := daemon.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				daemon.Process.Kill()
				daemon.Wait()
			}()
			s := newSenders(t, entrance, 1)
			eventually(t, "rsyslog forwards", func() bool {
				s.conns[0].Write([]byte("<36>1 2026-11-20T10:00:00.5Z router.example.net drill 77 ID47 - hello: world"))
				return p.total().Delivered > 0
			})
			p.terminate()
			for _, record := range readRecords(t, file) {
				if record["appname"] != "drill" {
					continue // a message of rsyslog about rsyslog
				}
				wantFields(t, record, map[string]any{"format": format, "facility": "auth", "severity": "warning", "procid": "77", "message": "hello: world"})
				if format == "rfc5424" {
					wantFields(t, record, map[string]any{"msgid": "ID47", "hostname": "router.example.net", "timestamp": "2026-11-20T10:00:00.5Z"})
				}
			}
		})
	}
}
