package syslog

import (
	"strings"
	"testing"
)

// isoSample makes a sample of ISO 8601 in the place of the RFC 3164 timestamp, for a host in UTC: a
// timestamp with an offset becomes the field, a timestamp without an offset stays in the message.
func isoSample(from, stamp, timestamp string) sample {
	rest := `"hostname":"h","appname":"app","procid":"5","facility":"user","severity":"notice","message":"`
	if timestamp != "" {
		return headerRecord(from, stamp+" h app[5]: x", timestamp, strings.TrimSuffix(rest, `"`)+`"x"}`)
	}
	return sample{from, "<13>" + stamp + " h app[5]: x", `rfc3164 {` + rest + stamp + ` x"}`}
}

var isoSamples = []sample{
	isoSample("offset without a colon", `2026-11-28T23:40:12+0000`, "2026-11-28T23:40:12Z"),
	isoSample("offset without a colon, west, fraction", `2026-11-28T23:40:12.123456-0330`, "2026-11-28T23:40:12.123456-03:30"),
	isoSample("offset of hours", `2026-11-28T23:40:12+02`, "2026-11-28T23:40:12+02:00"),
	isoSample("space for T", `2026-11-28 23:40:12Z`, "2026-11-28T23:40:12Z"),
	isoSample("space for T, offset", `2026-11-28 23:40:12.003+02:00`, "2026-11-28T23:40:12.003+02:00"),
	isoSample("space for T, offset without a colon", `2026-11-28 23:40:12+0200`, "2026-11-28T23:40:12+02:00"),
	isoSample("space before the offset", `2026-11-28 23:40:12 +0200`, "2026-11-28T23:40:12+02:00"),
	isoSample("space before the zone", `2026-11-28 23:40:12 UTC`, "2026-11-28T23:40:12Z"),
	isoSample("small t and z", `2026-11-28t23:40:12z`, "2026-11-28T23:40:12Z"),
	isoSample("comma", `2026-11-28T23:40:12,123+0100`, "2026-11-28T23:40:12.123+01:00"),
	isoSample("12-hour clock", `2026-11-28 11:40:12 PM +0100`, "2026-11-28T23:40:12+01:00"),
	isoSample("no zone", `2026-11-28T23:40:12`, ""),
	isoSample("no zone, fraction", `2026-11-28T23:40:12.123`, ""),
	isoSample("space for T, no zone", `2026-11-28 23:40:12`, ""),
	isoSample("comma, no zone", `2026-11-28 23:40:12,123`, ""),
	isoSample("12-hour clock, no zone", `2026-11-28 11:40:12 PM`, ""),
	{"HPE Comware: info-center timestamp loghost iso", `<187>2026-11-28T23:40:12 Sysname %%10IFNET/3/LINK_UPDOWN(l): x`,
		`rfc3164 {"hostname":"Sysname","facility":"local7","severity":"err","message":"2026-11-28T23:40:12 %%10IFNET/3/LINK_UPDOWN(l): x"}`},
	{"Huawei NE", `<187>2026-11-28 23:40:12 HUAWEI %%01SHELL/5/LOGIN(s):VS=Admin-VS-CID=0; x`,
		`rfc3164 {"hostname":"HUAWEI","facility":"local7","severity":"err","message":"2026-11-28 23:40:12 %%01SHELL/5/LOGIN(s):VS=Admin-VS-CID=0; x"}`},
	{"no zone, after a sequence number", `<187>29: 2026-11-28T23:40:12 sw1 x`,
		`rfc3164 {"hostname":"sw1","facility":"local7","severity":"err","message":"29: 2026-11-28T23:40:12 x"}`},
	{"no zone, a tag and no hostname", `<13>2026-11-28T23:40:12 app: x`,
		`rfc3164 {"appname":"app","facility":"user","severity":"notice","message":"2026-11-28T23:40:12 x"}`},
	{"no zone, spaces", `<13>2026-11-28T23:40:12  h  two words`,
		`rfc3164 {"hostname":"h","facility":"user","severity":"notice","message":"2026-11-28T23:40:12  two words"}`},
	wholeRecord("no zone, nothing behind it", `2026-11-28T23:40:12`),
	wholeRecord("no zone, neither hostname nor tag", `2026-11-28T23:40:12 (x) y`),
	wholeRecord("no zone, colon", `2026-11-28T23:40:12: %ASA-6-302013: Built`),
	wholeRecord("FortiAnalyzer event log", `2018-02-12 19:09:01 log_id=0024033033 type=event subtype=faz pri=information`),
	wholeRecord("a zone that is not known", `2026-11-28 23:40:12 CEST h app: x`),
	wholeRecord("a zone that is not known, no T", `2026-11-28T23:40:12 Europe/Berlin h app: x`),
	wholeRecord("impossible date", `2026-02-29 23:40:12+0000 h app: x`),
	wholeRecord("hour 24", `2026-11-28 24:00:00+0000 h app: x`),
	wholeRecord("leap second", `2026-12-31T23:59:60+0000 h app: x`),
	wholeRecord("offset of 24 hours", `2026-11-28T23:40:12+2400 h app: x`),
	wholeRecord("offset of three digits", `2026-11-28T23:40:12+020 h app: x`),
	wholeRecord("date alone", `2026-11-28 h app: x`),
	wholeRecord("no seconds", `2026-11-28T23:40Z h app: x`),
	wholeRecord("basic format", `20261128T234012Z h app: x`),
	wholeRecord("text at its end", `2026-11-28 23:40:12x h app: x`),
	wholeRecord("13 PM", `2026-11-28 13:40:12 PM h app: x`),
	{"no PRI, offset", `2026-11-28T23:40:12+0000 h app: x`,
		`rfc3164 {"timestamp":"2026-11-28T23:40:12Z","hostname":"h","appname":"app","message":"x"}`},
	{"no PRI, no zone", `2026-11-28 23:40:12 h app: x`, `unparsed {"message":"2026-11-28 23:40:12 h app: x"}`},
	{"the text of a program", `<13>app: 2026-11-28 23:40:12 started`,
		`rfc3164 {"appname":"app","facility":"user","severity":"notice","message":"2026-11-28 23:40:12 started"}`},
}

func TestISO8601(t *testing.T) { runSamples(t, isoSamples) }

// noHostSample makes a sample of a message that has no field but the timestamp.
func noHostSample(from, text string) sample {
	return headerRecord(from, `Oct 11 22:14:15 `+text, "2023-10-11T22:14:15Z",
		`"facility":"user","severity":"notice","message":"`+text+`"}`)
}

// hostOnly is noHost for a message behind the hostname h.
func hostOnly(from, text string) sample {
	return headerRecord(from, `Oct 11 22:14:15 h `+text, "2023-10-11T22:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"`+text+`"}`)
}

// Words in documented formats that are neither hostname nor appname, and similar words that are.
var otherWordSamples = []sample{
	headerRecord("a host whose name is a slot's", `Oct 11 22:14:15 slot app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"slot","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("the shortest selector", `Oct 11 22:14:15 h ftp.err app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"ftp.err app: x"}`),
	headerRecord("the shortest selector before a colon", `Oct 11 22:14:15 h ftp.err: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","facility":"user","severity":"notice","message":"ftp.err: x"}`),
	hostOnly("ArcSight CEF with a space", `CEF: 0|Vendor|Product|1|100|name|5|src=192.0.2.1`),
	noHostSample("ArcSight CEF with a space, no hostname", `CEF: 0|Vendor|Product|1|100|name|5|src=192.0.2.1`),
	wholeRecord("ArcSight CEF with a space, after the PRI", `CEF: 0|Vendor|Product|1|100|name|5|src=192.0.2.1`),
	hostOnly("QRadar LEEF with a space", `LEEF: 1.0|Vendor|Product|1|100|src=192.0.2.1`),
	hostOnly("FortiAnalyzer: CEF", `CEF:0|Fortinet|FortiGate-VM64|6.4.8,build1914 (GA)|0201009238|x|5|start=Dec 08 2022 17:00:55`),
	hostOnly("FortiAnalyzer: forwarded", `logver=604111828 timestamp=1614619459 devid=FG1 date=2021-03-01 time=10:14:19`),
	wholeRecord("FortiAnalyzer: no header", `logver=604111828 timestamp=1614619459 devid=FG1 date=2021-03-01 time=10:14:19`),
	{"a program named CEF", `<13>CEF[7]: x`, `rfc3164 {"appname":"CEF","procid":"7","facility":"user","severity":"notice","message":"x"}`},

	hostOnly("BusyBox, OpenWrt: selector", `user.info app[1]: x`),
	noHostSample("BusyBox, OpenWrt: selector, no hostname", `user.info app[1]: x`),
	noHostSample("selector, authpriv", `authpriv.warning app[1]: x`),
	noHostSample("selector, local7", `local7.err app[1]: x`),
	noHostSample("selector in capitals (Kiwi)", `Local7.Debug 192.0.2.1 x`),
	hostOnly("selector and colon", `daemon.notice: x`),
	wholeRecord("selector after the PRI", `kern.warn: x`),
	headerRecord("a host of the domain info", `Oct 11 22:14:15 www.info app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"www.info","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a host of the host mail", `Oct 11 22:14:15 mail.example app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"mail.example","appname":"app","facility":"user","severity":"notice","message":"x"}`),

	hostOnly("F5 BIG-IP: level", `notice mcpd[5678]: 01070417:5: AUDIT - user admin`),
	noHostSample("F5 BIG-IP: level, no hostname", `notice mcpd[5678]: 01070417:5: AUDIT - user admin`),
	noHostSample("F5 BIG-IP: err", `err tmm1[1234]: x`),
	noHostSample("F5 VIPRION: slot and hostname", `slot1/bigip1 notice mcpd[5678]: x`),
	noHostSample("F5 VIPRION: slot", `slot2 notice mcpd[5678]: x`),
	noHostSample("F5 VIPRION: slot and hostname, colon", `slot1/bigip1: x`),
	noHostSample("F5 VIPRION: slot and hostname, PID", `slot1/bigip1[5]: x`),
	headerRecord("a host named after its slot", `Oct 11 22:14:15 slot1-fw app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"slot1-fw","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	noHostSample("log4j: level", `INFO com.example.Main - started`),
	noHostSample("level", `Warning 5 disks`),
	hostOnly("level and colon", `error: disk full`),
	noHostSample("level and colon, no hostname", `ERROR: disk full`),
	wholeRecord("level after the PRI", `warning: disk full`),
	headerRecord("a program named like a level", `Oct 11 22:14:15 h info[5]: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"info","procid":"5","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a program named almost like a level", `Oct 11 22:14:15 h errord: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"errord","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a host named almost like a level", `Oct 11 22:14:15 info1 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"info1","appname":"app","facility":"user","severity":"notice","message":"x"}`),

	noHostSample("Meraki behind a relay's timestamp", `1 1764373212.123456789 MX84 flows src=192.0.2.1`),
	noHostSample("Meraki behind a relay's timestamp, no version", `1764373212.123456789 MX84 flows src=192.0.2.1`),
	hostOnly("Meraki behind a relay's header", `1 1764373212.123456789 MX84 flows src=192.0.2.1`),
	wholeRecord("Meraki without a version", `1764373212.123456789 MX84 flows src=192.0.2.1`),
	noHostSample("seconds since 1970", `1764373212 MX84 flows`),
	{"Meraki", `<134>1 1764373212.123456789 MX84 flows src=192.0.2.1`,
		`unparsed {"facility":"local0","severity":"info","message":"1 1764373212.123456789 MX84 flows src=192.0.2.1"}`},
	headerRecord("a host whose name is 1", `Oct 11 22:14:15 1 app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"1","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	noHostSample("a number with a fraction", `12.5 percent`),
	noHostSample("a version", `10.0.2 installed`),
	noHostSample("no IPv4 address", `256.0.0.1 x`),
	noHostSample("five numbers", `1.2.3.4.5 x`),
	headerRecord("IPv4 address with leading zeros", `Oct 11 22:14:15 010.000.002.001 x`, "2023-10-11T22:14:15Z",
		`"hostname":"010.000.002.001","facility":"user","severity":"notice","message":"x"}`),

	wholeRecord("Cisco IOS XR", `4711: rtr1 RP/0/RSP0/CPU0:Oct 11 22:14:15.003 UTC: config[65743]: %MGBL-CONFIG-6-DB_COMMIT : x`),
	wholeRecord("Cisco IOS XR, no hostname", `4711: RP/0/RSP0/CPU0:Oct 11 22:14:15.003 : config[65743]: %MGBL-CONFIG-6-DB_COMMIT : x`),
	wholeRecord("Cisco IOS XR, node first", `LC/0/2/CPU0:Oct 11 22:14:15.003 : ifmgr[214]: %PKT_INFRA-LINK-3-UPDOWN : x`),
	wholeRecord("Cisco IOS XR, node and a space", `RP/0/RSP0/CPU0: Oct 11 22:14:15.003 : config[65743]: %MGBL-CONFIG-6-DB_COMMIT : x`),
	wholeRecord("Cisco IOS XR, hostname and a colon", `rtr1: RP/0/RSP0/CPU0:Oct 11 22:14:15.003 : config[65743]: %MGBL-CONFIG-6-DB_COMMIT : x`),
	hostOnly("Cisco IOS XR, behind a relay's header", `462388: LC/0/6/CPU0:Apr 15 09:02:48 : plim_xge[301]: %L2-PLIM-4-XFP_WARN_RX_PWR : x`),
	hostOnly("Cisco IOS XR, node as a tag", `RP/0/RSP0/CPU0: config[65743]: %MGBL-CONFIG-6-DB_COMMIT : x`),
	headerRecord("a path is a program", `Oct 11 22:14:15 h APP/web: x`, "2023-10-11T22:14:15Z",
		`"hostname":"h","appname":"APP/web","facility":"user","severity":"notice","message":"x"}`),

	noHostSample("a second header", `Oct 11 22:14:15 h app: x`),
	noHostSample("a second header in capitals", `JUN 11 22:14:15 h app: x`),
	noHostSample("a second header, day padded", `MAY  1 22:14:15 h app: x`),
	noHostSample("a second header, year", `May 11 2023 22:14:15 h app: x`),
	noHostSample("a second header, day of the week", `Wed Oct 11 22:14:15 2023 h app: x`),
	noHostSample("a second header, ISO 8601", `2023-10-11 22:14:15 h app: x`),
	noHostSample("a second header, RFC 3339", `2023-10-11T22:14:15Z h app: x`),
	headerRecord("a host named after a month", `Oct 11 22:14:15 May app: x`, "2023-10-11T22:14:15Z",
		`"hostname":"May","appname":"app","facility":"user","severity":"notice","message":"x"}`),
	headerRecord("a host named after a month, a number", `Oct 11 22:14:15 Jun 11 x`, "2023-10-11T22:14:15Z",
		`"hostname":"Jun","facility":"user","severity":"notice","message":"11 x"}`),

	noHostSample("sssd", `sssd[sudo][1]: x`),
	hostOnly("tag over 48 bytes", strings.Repeat("a", 49)+`[1451]: x`),
	noHostSample("tag over 48 bytes, no hostname", `shop_frontend-service-blue.1.x5jlb0u5vzgf3u0c0v8sfdxnb[1451]: x`),
}

func TestOtherWords(t *testing.T) { runSamples(t, otherWordSamples) }
