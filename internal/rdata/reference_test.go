package rdata

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// refusedByBIND are the beginnings of records that BIND 9.18 does not read.
var refusedByBIND = []string{
	"TXT aaaaaaaa",     // longer than 255 octets
	"URI 10 1 a",       // without quotes
	`CAA 128 "tbs"`,    // with quotes
	"IPSECKEY 10 2 0 ", // without a key, although the algorithm is that of no key
	"MD", "MF",         // obsolete
	"UINFO", "UID", "GID", // reserved
	"SVCB 1 . dohpath", "SVCB 1 . ohttp", "DSYNC", "HHIT", "BRID", "CLA", "IPN", "RESINFO", "WALLET", // newer
}

// differentInMiekg are the beginnings of the lines of texts that miekg/dns 1.1.73 does not read, or reads as other data.
var differentInMiekg = []string{
	"A6", "ATMA", "BRID", "CLA", "DOA", "DSYNC", "HHIT", "IPN", "NSAP 0", "SINK", "WALLET", "WKS", // unknown
	"X25", "GPOS", // in quotes
	"ISDN \"150862028003217\"\n",        // gets a subaddress
	"NXT m",                             // gets the bitmap of NSEC
	"AMTRELAY 128 1 3",                  // loses the relay
	"APL 1:10.0.0.1/8",                  // has bits behind the prefix
	`URI 10 1 "aaa`, `CAA 0 issue "aaa`, // longer than 255 octets
	"SVCB 1 . ipv6hint=::ffff:",
}

// hasPrefixOf reports whether the line with the text has one of the prefixes.
func hasPrefixOf(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text+"\n", prefix) })
}

// BIND makes the same data of each text as Parse, and of the text that AppendText writes.
func TestParseLikeBIND(t *testing.T) {
	compile, err := exec.LookPath("named-compilezone")
	if err != nil {
		t.Skip("needs named-compilezone: apt-get install bind9-utils")
	}
	zone := "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\n"
	want := make(map[string][]byte)
	for _, text := range allTexts() {
		rtype, data, err := parseText(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		canonical := TypeName(rtype) + " " + string(AppendText(nil, rtype, data))
		for _, text := range []string{text, canonical} {
			if rtype != 6 && !hasPrefixOf(text, refusedByBIND) { // a zone has one SOA record
				owner := fmt.Sprintf("r%d", len(want))
				want[owner+".example."] = data
				zone += owner + " " + text + "\n"
			}
		}
	}
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(compile, "-k", "ignore", "-i", "none", "-s", "full", "-o", file+".text", "example.", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(file + ".text")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := split(strings.TrimSuffix(line, "\n"))
		if fields[0].Text == ";" { // a comment
			continue
		}
		owner := fields[0].Text
		rtype, _ := Type(fields[3].Text)
		data, err := Parse(rtype, fields[4:], "")
		if wanted, ok := want[owner]; ok && (err != nil || !slices.Equal(data, wanted)) {
			t.Errorf("%s: got %x, %v, want %x", line, data, err, wanted)
		}
		delete(want, owner)
	}
	for owner, data := range want {
		t.Errorf("%s: BIND does not have the data %x", owner, data)
	}
}

// The library miekg/dns reads the same data from each text that AppendText writes.
func TestTextLikeMiekg(t *testing.T) {
	buf := make([]byte, 1024)
	for _, text := range allTexts() {
		rtype, data, err := parseText(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		text = TypeName(rtype) + " " + string(AppendText(nil, rtype, data))
		rr, err := dns.NewRR(". 60 IN " + text)
		end := 0
		if err == nil {
			end, err = dns.PackRR(rr, buf, 0, nil, false)
		}
		const header = 1 + 10 // the root and the fields before the data
		if err == nil && !bytes.Equal(buf[header:end], data) {
			err = fmt.Errorf("got %x, want %x", buf[header:end], data)
		}
		if different := hasPrefixOf(text, differentInMiekg); different != (err != nil) {
			t.Errorf("%s: listed as different: %v; error: %v", text, different, err)
		}
	}
}

func allTexts() []string {
	var texts []string
	for _, tt := range records {
		texts = append(texts, tt.text)
	}
	for _, tt := range serviceRecords {
		texts = append(texts, tt.text)
	}
	return texts
}
