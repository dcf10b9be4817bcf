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
	{"RFC 5424 6: fields that begin as NILVALUE does", `<14>1 - -h -a -1 --- - x`,
		`rfc5424 {"hostname":"-h","appname":"-a","procid":"-1","msgid":"---","facility":"user","severity":"info","message":"x"}`},
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
	{"RFC 5424 6.2.3.1 example 5: nanoseconds", `<14>1 2003-08-24T05:14:15.000000003-07:00 h a p m - x`,
		`rfc5424 {"timestamp":"2003-08-24T05:14:15.000000003-07:00","hostname":"h","appname":"a","procid":"p","msgid":"m","facility":"user","severity":"info","message":"x"}`},
	{".NET: seven fraction digits", `<14>1 2023-10-11T22:14:15.0031829+02:00 h a p m - x`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.0031829+02:00","hostname":"h","appname":"a","procid":"p","msgid":"m","facility":"user","severity":"info","message":"x"}`},
	{"eight fraction digits", `<14>1 2023-10-11T22:14:15.00318299Z h a p m - x`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.00318299Z","hostname":"h","appname":"a","procid":"p","msgid":"m","facility":"user","severity":"info","message":"x"}`},
	{"util-linux logger --rfc5424", `<13>1 2023-10-11T22:14:15.003182+02:00 host1 alice - - [timeQuality tzKnown="1" isSynced="1" syncAccuracy="120500"] hello`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003182+02:00","hostname":"host1","appname":"alice","facility":"user","severity":"notice","structured_data":{"timeQuality":{"tzKnown":"1","isSynced":"1","syncAccuracy":"120500"}},"message":"hello"}`},
	{"NXLog xm_syslog to_syslog_ietf", `<14>1 2023-10-11T22:14:15.003182+02:00 WIN01 Service_Control_Manager 652 - [NXLOG@14506 EventID="7036" Channel="System"] The Windows Update service entered the running state.`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003182+02:00","hostname":"WIN01","appname":"Service_Control_Manager","procid":"652","facility":"user","severity":"info","structured_data":{"NXLOG@14506":{"EventID":"7036","Channel":"System"}},"message":"The Windows Update service entered the running state."}`},
	{"Juniper Junos structured-data", `<165>1 2023-10-11T22:14:15.003Z router1 mgd 3046 UI_DBASE_LOGOUT_EVENT [junos@2636.1.1.1.2.18 username="user1"] User 'user1' exiting configuration mode`,
		`rfc5424 {"timestamp":"2023-10-11T22:14:15.003Z","hostname":"router1","appname":"mgd","procid":"3046","msgid":"UI_DBASE_LOGOUT_EVENT","facility":"local4","severity":"notice","structured_data":{"junos@2636.1.1.1.2.18":{"username":"user1"}},"message":"User 'user1' exiting configuration mode"}`},
}

func TestRFC5424(t *testing.T) { runSamples(t, rfc5424Samples) }

// invalid5424Sample makes a sample of the text after <14>1: all of the text is message.
func invalid5424Sample(from, rest string) sample {
	return sample{from, "<14>1 " + rest, `unparsed {"facility":"user","severity":"info","message":"1 ` +
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest) + `"}`}
}

var invalid5424Samples = []sample{
	invalid5424Sample("nothing after the version", ""),
	invalid5424Sample("impossible date", "2023-02-29T22:14:15Z h a p m - x"),
	invalid5424Sample("century that is no leap year", "1900-02-29T22:14:15Z h a p m - x"),
	invalid5424Sample("month 13", "2023-13-01T22:14:15Z h a p m - x"),
	invalid5424Sample("day 0", "2023-01-00T22:14:15Z h a p m - x"),
	invalid5424Sample("31 April", "2023-04-31T22:14:15Z h a p m - x"),
	invalid5424Sample("hour 24", "2023-10-11T24:00:00Z h a p m - x"),
	invalid5424Sample("leap second", "2016-12-31T23:59:60Z h a p m - x"),
	invalid5424Sample("small t", "2023-10-11t22:14:15Z h a p m - x"),
	invalid5424Sample("small z", "2023-10-11T22:14:15z h a p m - x"),
	invalid5424Sample("point without fraction", "2023-10-11T22:14:15.Z h a p m - x"),
	invalid5424Sample("ten fraction digits", "2023-10-11T22:14:15.1234567890Z h a p m - x"),
	invalid5424Sample("text at the timestamp's end", "2023-10-11T22:14:15Zh a p m - x"),
	invalid5424Sample("text after a nil timestamp", "-h a p m - x"),
	invalid5424Sample("Meraki: seconds since 1970", "1764373212.123456789 MX84 events type=vpn_connectivity_change"),
	invalid5424Sample("no offset", "2023-10-11T22:14:15 h a p m - x"),
	invalid5424Sample("offset without colon", "2023-10-11T22:14:15+0200 h a p m - x"),
	invalid5424Sample("offset of hours", "2023-10-11T22:14:15+02 h a p m - x"),
	invalid5424Sample("offset of 24 hours", "2023-10-11T22:14:15+24:00 h a p m - x"),
	invalid5424Sample("offset of 60 minutes", "2023-10-11T22:14:15+01:60 h a p m - x"),
	invalid5424Sample("RFC 3164 timestamp", "Oct 11 22:14:15 h a p m - x"),
}

func TestInvalidRFC5424(t *testing.T) { runSamples(t, invalid5424Samples) }

// malformed5424Sample makes a sample of the text after <14>1 and a timestamp: the fields before the
// malformed field, and the rest, which is the message.
func malformed5424Sample(from string, taken []string, rest, field string) sample {
	in := "<14>1 2023-10-11T22:14:15Z "
	want := `rfc5424:` + field + ` {"timestamp":"2023-10-11T22:14:15Z",`
	for i, value := range taken {
		in += value + " "
		if value != "-" {
			want += `"` + headerFields[i] + `":"` + value + `",`
		}
	}
	want += `"facility":"user","severity":"info"`
	if rest != "" {
		want += `,"message":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest) + `"`
	}
	return sample{from, in + rest, want + "}"}
}

// takenFields are the fields before a malformed field.
func takenFields(fields ...string) []string { return fields }

var malformed5424Samples = []sample{
	{"nothing after the timestamp", `<14>1 2023-10-11T22:14:15Z`,
		`rfc5424:hostname {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"info"}`},
	{"nothing after a nil timestamp", `<14>1 -`, `rfc5424:hostname {"facility":"user","severity":"info"}`},
	{"nothing after APP-NAME", `<14>1 - h a`, `rfc5424:procid {"hostname":"h","appname":"a","facility":"user","severity":"info"}`},
	{"nothing after a nil MSGID", `<14>1 - h a p -`,
		`rfc5424:structured_data {"hostname":"h","appname":"a","procid":"p","facility":"user","severity":"info"}`},
	{"a BOM behind a malformed field stays", "<14>1 - h a p m \xEF\xBB\xBFx",
		"rfc5424:structured_data {\"hostname\":\"h\",\"appname\":\"a\",\"procid\":\"p\",\"msgid\":\"m\",\"facility\":\"user\",\"severity\":\"info\",\"message\":\"\uFEFFx\"}"},
	{"HOSTNAME that is not UTF-8", "<14>1 - h\xff a p m - x",
		"rfc5424:hostname {\"facility\":\"user\",\"severity\":\"info\",\"message\":\"h\uFFFD a p m - x\"}"},
	malformed5424Sample("no HOSTNAME", takenFields(), "", "hostname"),
	malformed5424Sample("empty HOSTNAME", takenFields(), " a p m - x", "hostname"),
	malformed5424Sample("over-long HOSTNAME", takenFields(), strings.Repeat("h", 256)+" a p m - x", "hostname"),
	malformed5424Sample("HOSTNAME that is not ASCII", takenFields(), "hé a p m - x", "hostname"),
	malformed5424Sample("no APP-NAME", takenFields("h"), "", "appname"),
	malformed5424Sample("empty APP-NAME", takenFields("h"), " p m - x", "appname"),
	malformed5424Sample("over-long APP-NAME", takenFields("h"), strings.Repeat("a", 49)+" p m - x", "appname"),
	malformed5424Sample("APP-NAME that is not ASCII", takenFields("h"), "naïve p m - x", "appname"),
	malformed5424Sample("over-long APP-NAME alone", takenFields("-"), strings.Repeat("a", 49), "appname"),
	malformed5424Sample("no PROCID", takenFields("h", "a"), "", "procid"),
	malformed5424Sample("over-long PROCID", takenFields("h", "a"), strings.Repeat("p", 129)+" m - x", "procid"),
	malformed5424Sample("no MSGID", takenFields("h", "a", "p"), "", "msgid"),
	malformed5424Sample("over-long MSGID", takenFields("h", "a", "p"), strings.Repeat("m", 33)+" - x", "msgid"),
	malformed5424Sample("Docker swarm: the tag as MSGID", takenFields("node1", "shop", "2211"),
		"shop_frontend.1.x5jlb0u5vzgf3u0c0v8sfdxnb - GET /cart", "msgid"),
	malformed5424Sample("no STRUCTURED-DATA", takenFields("h", "a", "p", "m"), "", "structured_data"),
	malformed5424Sample("no STRUCTURED-DATA, but a message", takenFields("h", "a", "-", "-"), "hello world", "structured_data"),
	malformed5424Sample("no space after nil STRUCTURED-DATA", takenFields("h", "a", "p", "m"), "-x", "structured_data"),
	malformed5424Sample("no space after STRUCTURED-DATA", takenFields("h", "a", "p", "m"), "[a]x", "structured_data"),
	malformed5424Sample("a byte that is no space after STRUCTURED-DATA", takenFields("h", "a", "p", "m"), `[a b="c"]: x`, "structured_data"),
	malformed5424Sample("over-long SD-ID", takenFields("h", "a", "p", "m"), "["+strings.Repeat("s", 33)+"] x", "structured_data"),
	malformed5424Sample("over-long SD-ID after a good element", takenFields("h", "a", "p", "m"), `[a b="c"][`+strings.Repeat("s", 33)+"] x", "structured_data"),
	malformed5424Sample("over-long PARAM-NAME", takenFields("h", "a", "p", "m"), "[s "+strings.Repeat("n", 33)+`="v"] x`, "structured_data"),
	malformed5424Sample("RFC 5424 6.3.5 example 4: space before SD-ID", takenFields("h", "a", "p", "m"), `[ a b="c"] x`, "structured_data"),
	malformed5424Sample("element that does not end", takenFields("h", "a", "p", "m"), `[a b="c"`, "structured_data"),
	malformed5424Sample("value that does not end", takenFields("h", "a", "p", "m"), `[a b="c] x`, "structured_data"),
	malformed5424Sample("value that ends in an escape", takenFields("h", "a", "p", "m"), `[a b="c\"`, "structured_data"),
	malformed5424Sample("value without quotation marks", takenFields("h", "a", "p", "m"), `[a b=c] x`, "structured_data"),
	malformed5424Sample("bracket in a value without its escape", takenFields("h", "a", "p", "m"), `[a b="]"] x`, "structured_data"),
	malformed5424Sample("param without a name", takenFields("h", "a", "p", "m"), `[a ="c"] x`, "structured_data"),
	malformed5424Sample("param without a value", takenFields("h", "a", "p", "m"), `[a b] x`, "structured_data"),
	malformed5424Sample("space at the element's end", takenFields("h", "a", "p", "m"), `[a b="c" ] x`, "structured_data"),
	malformed5424Sample("SD-ID with a quotation mark", takenFields("h", "a", "p", "m"), `[a"] x`, "structured_data"),
	malformed5424Sample("6.3.2: SD-ID repeats", takenFields("h", "a", "p", "m"), `[a b="c"][a d="e"] x`, "structured_data"),
	malformed5424Sample("6.3.2: SD-ID repeats among many", takenFields("h", "a", "p", "m"), `[a][b][c][d][e][f][g][h][i][a] x`, "structured_data"),
	malformed5424Sample("Check Point Log Exporter", takenFields("cp-mgmt", "CheckPoint", "12345", "-"),
		`[action:"Accept"; conn_direction:"Incoming"; ifdir:"inbound"; origin:"192.0.2.10"; sequencenum:"1"]`, "structured_data"),
	malformed5424Sample("VMware ESXi 7", takenFields("esx01.example.net", "Hostd", "2099552", "-"),
		`[Originator@6876 sub=Vimsvc.ha-eventmgr opID=5d2f] Event 3412 : User root logged in`, "structured_data"),
}

func TestMalformedRFC5424(t *testing.T) { runSamples(t, malformed5424Samples) }

func TestOtherVersionIsNotRFC5424(t *testing.T) {
	runSamples(t, []sample{
		{"version 2", `<14>2 - - - - - - x`, `rfc3164 {"facility":"user","severity":"info","message":"2 - - - - - - x"}`},
		{"version 11", `<14>11 - - - - - - x`, `rfc3164 {"facility":"user","severity":"info","message":"11 - - - - - - x"}`},
		{"no PRI", `1 - - - - - - x`, `unparsed {"message":"1 - - - - - - x"}`},
	})
}
