package masterfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// oracle is a program of another server that reads zone files of the zone example.
type oracle struct {
	name        string
	programs    string         // with spaces between
	debian      string         // packages with the programs
	unknown     []string       // types whose text the program does not read
	unread      *regexp.Regexp // legal spellings that the program does not read; nil: none
	foldsCase   bool           // the program writes some names in lower case
	wholeOctets bool           // words of hexadecimal and base64 digits are whole octets
	read        func(file string) ([]Record, error)
	check       func(file string) error // an error if the program refuses a record for its form
}

// oracles are the programs of Debian 12: BIND 9.18, NSD 4.6 and Knot 3.2.
var oracles = []*oracle{
	{"BIND", "named-compilezone", "bind9-utils", unknownToBIND, nil, false, false, compileZone, func(file string) error { _, err := compileZone(file); return err }},
	{"NSD", "nsd-checkzone", "nsd", unknownToNSD, unreadByNSD, true, false, printZone, func(file string) error { _, err := run("nsd-checkzone", "example.", file); return err }},
	{"Knot", "knotd knotc kzonecheck", "knot knot-dnssecutils", unknownToKnot, unreadByKnot, true, true, loadZone, checkZone},
}

// Types that the programs do not know, and legal spellings that they do not read or read as other
// data.
var (
	unknownToBIND = strings.Fields("MD MF UINFO UID GID DSYNC HHIT BRID CLA IPN RESINFO WALLET")
	unknownToNSD  = strings.Fields("A6 AMTRELAY ATMA BRID CLA DOA DSYNC EID GID GPOS HHIT HIP IPN NIMLOC NINFO NSAP-PTR RESINFO RKEY SINK TA TALINK UID UINFO WALLET")
	unknownToKnot = append(strings.Fields("AVC DLV ISDN MB MD MF MG MR NSAP NULL NXT PX SIG WKS X25"), unknownToNSD...)

	// A parenthesis in the place of the owner; seconds since 1970 in RRSIG records.
	unreadByNSD = regexp.MustCompile(`\n[ \t]+\(|1048354263`)
	// The same parenthesis; classes by number; CR LF; no space before a parenthesis or a comment; NID
	// and L64 with less than four digits.
	unreadByKnot = regexp.MustCompile(`\n[ \t]+\(|(?i)class1|\r|[^ \t\n][);]|\b14:4fff|2001:db8:1140`)
)

// needOracles skips the test unless all oracles are installed.
func needOracles(t testing.TB) {
	t.Helper()
	for _, o := range oracles {
		for _, program := range strings.Fields(o.programs) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("needs %s: apt-get install %s", program, o.debian)
			}
		}
	}
}

func (o *oracle) knows(rtype string) bool { return !slices.Contains(o.unknown, rtype) }

// run returns the standard output of a program.
func run(name string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", name, err, &stdout, &stderr)
	}
	return stdout.Bytes(), nil
}

// compileZone has BIND write a zone in its binary format.
func compileZone(file string) ([]Record, error) {
	compiled := file + ".raw"
	defer os.Remove(compiled)
	_, err := run("named-compilezone", "-k", "ignore", "-n", "ignore", "-r", "ignore", "-m", "ignore", "-M", "ignore",
		"-S", "ignore", "-i", "none", "-F", "raw", "-o", compiled, "example.", file)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(compiled)
	if err != nil {
		return nil, err
	}
	return parseRaw(data)
}

// parseRaw parses the binary format of BIND, version 1: a header, and for each RRset its length,
// class, type, covered type, TTL, number of records, owner, and the records.
func parseRaw(data []byte) (records []Record, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("named-compilezone has written another format")
		}
	}()
	const header = 6 * 4
	for data = data[header:]; len(data) > 0; {
		set := data[:binary.BigEndian.Uint32(data)]
		data = data[len(set):]
		r := Record{Type: binary.BigEndian.Uint16(set[6:]), TTL: binary.BigEndian.Uint32(set[10:])}
		end := 20 + int(binary.BigEndian.Uint16(set[18:]))
		r.Owner = string(set[20:end])
		for set = set[end:]; len(set) > 0; set = set[2+len(r.Data):] {
			r.Data = set[2 : 2+binary.BigEndian.Uint16(set)]
			records = append(records, r)
		}
	}
	return records, nil
}

// printZone has NSD write a zone.
func printZone(file string) ([]Record, error) {
	text, err := run("nsd-checkzone", "-p", "example.", file)
	if err != nil {
		return nil, err
	}
	return readAll("nsd-checkzone", string(text))
}

func readAll(name, text string) (records []Record, err error) {
	err = Read(name, strings.NewReader(text), Options{NoIncludes: true}, func(r Record) error {
		records = append(records, r)
		return nil
	})
	return records, err
}

// checkZone has Knot read a zone. What kzonecheck says about the records together is ignored.
func checkZone(file string) error {
	_, err := run("kzonecheck", "-v", "-o", "example.", file)
	if err != nil && !strings.Contains(err.Error(), "failed to run semantic checks") {
		return nil
	}
	return err
}

// loadZone has Knot serve and write a zone.
func loadZone(file string) ([]Record, error) {
	dir, err := os.MkdirTemp("", "knot") // a short name: for a socket
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	conf := filepath.Join(dir, "conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, `server:
    rundir: %[1]s
    pidfile: %[1]s/pid
database:
    storage: %[1]s
log:
  - target: stderr
    any: info
zone:
  - domain: example.
    file: %[2]s
    semantic-checks: off
    journal-content: none
    zonefile-load: whole
`, dir, file), 0o600)
	if err != nil {
		return nil, err
	}
	server := exec.Command("knotd", "-c", conf)
	log, err := server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	for lines := bufio.NewScanner(log); lines.Scan() && !strings.Contains(lines.Text(), "control, binding"); {
		if strings.Contains(lines.Text(), "error: ") {
			return nil, errors.New(lines.Text())
		}
	}
	text, err := run("knotc", "-c", conf, "zone-read", "example.")
	for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
		text, err = run("knotc", "-c", conf, "zone-read", "example.") // the socket is not there yet
	}
	if err != nil {
		return nil, err
	}
	return readAll("knotd", strings.ReplaceAll("\n"+string(text), "\n[example.] ", "\n"))
}
