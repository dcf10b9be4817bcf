package syslog

import (
	"strings"
	"testing"
)

var rfc5424Samples = []sample{
	{"RFC 5424 6.5 example 1", "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xEF\xBB\xBF'su root' failed for lonvick on /dev/pts/8",
		`rfc5424 {"timestamp":"2003-10-11T22:14:15.003Z","hostname":"mymachine.example.com","appname":"su","msgid":"ID47","facility":"auth","severity":"crit","message":"'su root' failed for lonvick on /dev/pts/8"}`},
	{"RFC 5424 6.5 example 2", `<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.`,
		`rfc5424 {"timestamp":"2003-08-24T05:14:15.000003-07:00","hostname":"192.0.2.1","appname":"myproc","procid":"8710","facility":"local4","severity":"notice","message":"%% It's time to make the do-nuts."}`},
	{"RFC 5424 6.5 example 3", `<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] An application event log entry...`,
		`rfc5424 {"timestamp":"2003-10-11T22:14:15.003Z","hostname":"mymachine.example.com","appname":"evntslog","msgid":"ID47","facility":"local4","severity":"notice","structured_data":{"exampleSDID@32473":{"iut":"3","eventSource":"Application","eventID":"1011"}},"message":"An application event log entry..."}`},
	{"RFC 5424 6.5 example 4", `<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]`,
		`rfc5424 {"timestamp":"2003-10-11T22:14:15.003Z","hostname":"mymachine.example.com","appname":"evntslog","msgid":"ID47","facility":"local4","severity":"notice","structured_data":{"exampleSDID@32473":{"iut":"3","eventSource":"Application","eventID":"1011"},"examplePriority@32473":{"class":"high"}}}`},
	{"RFC 5424 6: all nil", `<0>1 - - - - - -`,
		`rfc5424 {"facility":"kern","severity":"emerg"}`},
	{"RFC 5424 6: empty MSG after its space", `<191>1 - - - - - - `,
		`rfc5424 {"facility":"local7","severity":"debug"}`},
	{"RFC 5424 6: MSG that begins with a space", `<14>1 - - - - - -  x`,
		`rfc5424 {"facility":"user","severity":"info","message":" x"}`},
	{"RFC 5424 6.2.3.1 example 1", `<14>1 1985-04-12T23:20:50.52Z h a - - - x`,
		`rfc5424 {"timestamp":"1985-04-12T23:20:50.52Z","hostname":"h","appname":"a","facility":"user","severity":"info","message":"x"}`},
	{"RFC 5424 6.2.3: leap day", `<14>1 2024-02-29T23:59:59.123456+23:59 h a - - - x`,
		`rfc5424 {"timestamp":"2024-02-29T23:59:59.123456+23:59","hostname":"h","appname":"a","facility":"user","severity":"info","message":"x"}`},
	{"RFC 5424 6.2.4: IPv6 hostname", `<14>1 - 2001:db8::1 a - - - x`,
		`rfc5424 {"hostname":"2001:db8::1","appname":"a","facility":"user","severity":"info","message":"x"}`},
	{"RFC 5424 6: PRINTUSASCII needs JSON's escapes", `<14>1 - "h" a\b - - - x`,
		`rfc5424 {"hostname":"\"h\"","appname":"a\\b","facility":"user","severity":"info","message":"x"}`},
	{"RFC 5424 6.3.5 example 1: element without params", `<14>1 - - - - - [id] x`,
		`rfc5424 {"facility":"user","severity":"info","structured_data":{"id":{}},"message":"x"}`},
	{"RFC 5424 6.3.3: escapes", `<14>1 - - - - - [a b="\"\\\]"]`,
		`rfc5424 {"facility":"user","severity":"info","structured_data":{"a":{"b":"\"\\]"}}}`},
	{"RFC 5424 6.3.3: backslash that escapes nothing", `<14>1 - - - - - [a b="c:\dir\é\n\\n"]`,
		`rfc5424 {"facility":"user","severity":"info","structured_data":{"a":{"b":"c:\\dir\\é\\n\\n"}}}`},
	{"RFC 5424 6.3.3: empty value, line feed, not UTF-8", "<14>1 - - - - - [a b=\"\" c=\"1\n2\" d=\"\xff\\\xc3\"]",
		"rfc5424 {\"facility\":\"user\",\"severity\":\"info\",\"structured_data\":{\"a\":{\"b\":\"\",\"c\":\"1\\n2\",\"d\":\"\uFFFD\\\\\uFFFD\"}}}"},
	{"RFC 5424 7.2.1: ip repeats in origin", `<14>1 - - - - - [origin ip="192.0.2.1" software="x" ip="192.0.2.129" ip=""] x`,
		`rfc5424 {"facility":"user","severity":"info","structured_data":{"origin":{"ip":["192.0.2.1","192.0.2.129",""],"software":"x"}},"message":"x"}`},
	{"RFC 5424 6.3.3: repeats among many params", `<14>1 - - - - - [m a="1" b="2" c="3" d="4" e="5" f="6" g="7" h="8" i="9" a="10" i="11" a="12"]`,
		`rfc5424 {"facility":"user","severity":"info","structured_data":{"m":{"a":["1","10","12"],"b":"2","c":"3","d":"4","e":"5","f":"6","g":"7","h":"8","i":["9","11"]}}}`},
	{"RFC 5424 6.4: only the first BOM is a mark", "<14>1 - - - - - - \xEF\xBB\xBF\xEF\xBB\xBFx",
		"rfc5424 {\"facility\":\"user\",\"severity\":\"info\",\"message\":\"\uFEFFx\"}"},
	{"RFC 5424 6: longest fields", `<14>1 - ` + strings.Repeat("h", 255) + ` ` + strings.Repeat("a", 48) + ` ` + strings.Repeat("p", 128) + ` ` + strings.Repeat("m", 32) + ` [` + strings.Repeat("s", 32) + `] x`,
		`rfc5424 {"hostname":"` + strings.Repeat("h", 255) + `","appname":"` + strings.Repeat("a", 48) + `","procid":"` + strings.Repeat("p", 128) + `","msgid":"` + strings.Repeat("m", 32) + `","facility":"user","severity":"info","structured_data":{"` + strings.Repeat("s", 32) + `":{}},"message":"x"}`},
	{"util-linux logger --rfc5424", `<13>1 2023-10-11T22:14:15.003182+02:00 host1 alice - - [timeQuality tzKnown="1" isSynced="1" syncAccuracy="120500"] hello`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003182+02:00","hostname":"host1","appname":"alice","facility":"user","severity":"notice","structured_data":{"timeQuality":{"tzKnown":"1","isSynced":"1","syncAccuracy":"120500"}},"message":"hello"}`},
	{"NXLog xm_syslog to_syslog_ietf", `<14>1 2023-10-11T22:14:15.003182+02:00 WIN01 Service_Control_Manager 652 - [NXLOG@14506 EventID="7036" Channel="System"] The Windows Update service entered the running state.`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003182+02:00","hostname":"WIN01","appname":"Service_Control_Manager","procid":"652","facility":"user","severity":"info","structured_data":{"NXLOG@14506":{"EventID":"7036","Channel":"System"}},"message":"The Windows Update service entered the running state."}`},
	{"Juniper Junos structured-data", `<165>1 2023-10-11T22:14:15.003Z router1 mgd 3046 UI_DBASE_LOGOUT_EVENT [junos@2636.1.1.1.2.18 username="user1"] User 'user1' exiting configuration mode`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003Z","hostname":"router1","appname":"mgd","procid":"3046","msgid":"UI_DBASE_LOGOUT_EVENT","facility":"local4","severity":"notice","structured_data":{"junos@2636.1.1.1.2.18":{"username":"user1"}},"message":"User 'user1' exiting configuration mode"}`},
}

func TestRFC5424(t *testing.T) { runSamples(t, rfc5424Samples) }

// invalid5424 makes a sample of what follows <14>1: all of it is message.
func invalid5424(from, rest string) sample {
	return sample{from, "<14>1 " + rest, `unparsed {"facility":"user","severity":"info","message":"1 ` +
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest) + `"}`}
}

var invalid5424Samples = []sample{
	invalid5424("nothing after the version", ""),
	invalid5424("no STRUCTURED-DATA", "- h a p m"),
	invalid5424("no STRUCTURED-DATA after the space", "- h a p m "),
	invalid5424("empty field", "- h  p m - x"),
	invalid5424("no space after nil STRUCTURED-DATA", "- h a p m -x"),
	invalid5424("no space after STRUCTURED-DATA", "- h a p m [a]x"),
	invalid5424("impossible date", "2023-02-29T22:14:15Z h a p m - x"),
	invalid5424("century that is no leap year", "1900-02-29T22:14:15Z h a p m - x"),
	invalid5424("month 13", "2023-13-01T22:14:15Z h a p m - x"),
	invalid5424("day 0", "2023-01-00T22:14:15Z h a p m - x"),
	invalid5424("31 April", "2023-04-31T22:14:15Z h a p m - x"),
	invalid5424("hour 24", "2023-10-11T24:00:00Z h a p m - x"),
	invalid5424("leap second", "2016-12-31T23:59:60Z h a p m - x"),
	invalid5424("small t", "2023-10-11t22:14:15Z h a p m - x"),
	invalid5424("small z", "2023-10-11T22:14:15z h a p m - x"),
	invalid5424("RFC 5424 6.2.3.1 example 5: nanoseconds", "2003-08-24T05:14:15.000000003-07:00 h a p m - x"),
	invalid5424("point without fraction", "2023-10-11T22:14:15.Z h a p m - x"),
	invalid5424("no offset", "2023-10-11T22:14:15 h a p m - x"),
	invalid5424("offset without colon", "2023-10-11T22:14:15+0200 h a p m - x"),
	invalid5424("offset of hours", "2023-10-11T22:14:15+02 h a p m - x"),
	invalid5424("offset of 24 hours", "2023-10-11T22:14:15+24:00 h a p m - x"),
	invalid5424("RFC 3164 timestamp", "Oct 11 22:14:15 h a p m - x"),
	invalid5424("over-long HOSTNAME", "- "+strings.Repeat("h", 256)+" a p m - x"),
	invalid5424("over-long APP-NAME", "- h "+strings.Repeat("a", 49)+" p m - x"),
	invalid5424("over-long PROCID", "- h a "+strings.Repeat("p", 129)+" m - x"),
	invalid5424("over-long MSGID", "- h a p "+strings.Repeat("m", 33)+" - x"),
	invalid5424("HOSTNAME that is not ASCII", "- hé a p m - x"),
	invalid5424("over-long SD-ID", "- h a p m ["+strings.Repeat("s", 33)+"] x"),
	invalid5424("RFC 5424 6.3.5 example 4: space before SD-ID", `- h a p m [ a b="c"] x`),
	invalid5424("element that does not end", `- h a p m [a b="c"`),
	invalid5424("value that does not end", `- h a p m [a b="c] x`),
	invalid5424("value that ends in an escape", `- h a p m [a b="c\"`),
	invalid5424("value without quotation marks", `- h a p m [a b=c] x`),
	invalid5424("bracket in a value without its escape", `- h a p m [a b="]"] x`),
	invalid5424("param without a name", `- h a p m [a ="c"] x`),
	invalid5424("param without a value", `- h a p m [a b] x`),
	invalid5424("space at the element's end", `- h a p m [a b="c" ] x`),
	invalid5424("SD-ID with a quotation mark", `- h a p m [a"] x`),
	invalid5424("6.3.2: SD-ID repeats", `- h a p m [a b="c"][a d="e"] x`),
	invalid5424("6.3.2: SD-ID repeats among many", `- h a p m [a][b][c][d][e][f][g][h][i][a] x`),
}

func TestInvalidRFC5424(t *testing.T) { runSamples(t, invalid5424Samples) }

func TestOtherVersionIsNotRFC5424(t *testing.T) {
	runSamples(t, []sample{
		{"version 2", `<14>2 - - - - - - x`, `rfc3164 {"facility":"user","severity":"info","message":"2 - - - - - - x"}`},
		{"version 11", `<14>11 - - - - - - x`, `rfc3164 {"facility":"user","severity":"info","message":"11 - - - - - - x"}`},
		{"no PRI", `1 - - - - - - x`, `unparsed {"message":"1 - - - - - - x"}`},
	})
}
