package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Datagrams are sent from this many sockets, so that every shard receives some. At most window
// datagrams are unread at a time, which a receive queue of the kernel's smallest size can hold.
const senders, window = 8, 64

// sent is a datagram: its sender, and the expected record.
type sent struct {
	Source string
	Record map[string]any
}

// send sends n RFC 5424 messages and an RFC 3164 message, whose timestamp is in the container's
// zone.
func send(addr, status string, n int, zone, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := json.NewEncoder(file)
	var conns [senders]net.Conn
	for i := range conns {
		if conns[i], err = net.Dial("udp", addr); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	for i := range n + 1 {
		text, record := rfc5424(i)
		if i == n {
			if text, record, err = rfc3164(zone); err != nil {
				return err
			}
		}
		conn := conns[i%senders]
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		if err := out.Encode(sent{conn.LocalAddr().String(), record}); err != nil {
			return err
		}
		if (i+1)%window == 0 || i == n {
			if err := received(status, i+1); err != nil {
				return err
			}
		}
	}
	return file.Close()
}

func rfc5424(i int) (string, map[string]any) {
	facilities := []string{"kern", "user", "mail", "daemon", "auth"}
	severities := []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	f, s := i%len(facilities), i%len(severities)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Millisecond)
	stamp, seq := at.Format("2006-01-02T15:04:05.000Z07:00"), fmt.Sprintf("%06d", i)
	message := `datagram ` + seq + ` "quoted" back\slash tab` + "\t" + `Zürich`
	text := fmt.Sprintf(`<%d>1 %s host%d.example probe %d ID%d [seq@32473 n="%s" note="a\"b\]c\\d"] %s`,
		f*8+s, stamp, i%senders, i, i%7, seq, message)
	return text, map[string]any{
		"timestamp": stamp, "hostname": fmt.Sprintf("host%d.example", i%senders), "appname": "probe",
		"procid": strconv.Itoa(i), "msgid": fmt.Sprintf("ID%d", i%7),
		"facility": facilities[f], "severity": severities[s],
		"structured_data": map[string]any{"seq@32473": map[string]any{"n": seq, "note": `a"b]c\d`}},
		"message":         message, "format": "rfc5424",
	}
}

func rfc3164(zone string) (string, map[string]any, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return "", nil, err
	}
	now := time.Now().In(loc).Truncate(time.Second)
	return "<13>" + now.Format(time.Stamp) + " host probe[7]: local time", map[string]any{
		"timestamp": now.Format(time.RFC3339), "hostname": "host", "appname": "probe", "procid": "7",
		"facility": "user", "severity": "notice", "message": "local time", "format": "rfc3164",
	}, nil
}
