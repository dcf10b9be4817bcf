package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/packet/dns"
)

func parseAddress(text string) (string, error) {
	if _, err := hostport.Parse("udp", text); err != nil {
		return "", cli.Suggest(err, cli.GuessAddress(text, "", DefaultPort))
	}
	return text, nil
}

// DefaultPort is the port of the default address of serve.
const DefaultPort = "5514"

func parseOutput(text string) (string, error) {
	err := output.Check(text)
	switch {
	case err == nil:
		return text, nil
	case strings.Contains(text, "://"): // which may have a password
		err := errors.New("a URL is no output: use stdout, discard or file:PATH")
		return "", cli.WithHint(err, "targets have URLs: --to URL, or to: URL in the file")
	}
	meant := cli.NearestWord(text, output.Names)
	switch kind, path, hasPath := strings.Cut(text, ":"); {
	case text == "-":
		meant = "stdout"
	case hasPath && path != "" && kind != "file" && cli.NearestWord(kind, []string{"file"}) != "":
		meant = "file:" + path
	case strings.Contains(text, "/") && !hasPath:
		meant = "file:" + text
	}
	return text, cli.Suggest(err, meant)
}

// completeOutput offers the names of outputs, and the files for file:PATH.
func completeOutput(begin string) ([]string, cobra.ShellCompDirective) {
	path, isFile := strings.CutPrefix(begin, output.FilePrefix)
	if !isFile {
		return cli.Words(append(slices.Clone(output.Names), output.FilePrefix)...)(begin)
	}
	folder, _ := filepath.Split(path)
	entries, _ := os.ReadDir(cmp.Or(folder, ".")) // no offer for a folder that is not readable
	var paths []string
	for _, e := range entries {
		name := output.FilePrefix + folder + e.Name()
		if e.IsDir() {
			name += "/"
		}
		paths = append(paths, name)
	}
	return cli.Words(paths...)(begin)
}

// parseStall parses a duration that can be off. The engine checks the range.
func parseStall(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	d, err := cli.ParseDuration(text)
	if err != nil {
		const minMillis = 50 // a larger number without a unit is in milliseconds
		unit := time.Second
		if n, _ := strconv.Atoi(text); n >= minMillis {
			unit = time.Millisecond
		}
		err = fmt.Errorf("%q is not a duration such as 250ms or 1s, or off", text)
		err = cli.Suggest(err, cli.GuessDuration(text, unit))
	}
	return d, err
}

// minStandbyAfter is longer than the scheduler of a busy host delays a thread.
const minStandbyAfter = 50 * time.Millisecond

func parseStandbyAfter(text string) (time.Duration, error) {
	d, err := parseStall(text)
	if err == nil && d != 0 && d < minStandbyAfter {
		err = fmt.Errorf("%s is less than %s", d, minStandbyAfter)
	}
	return d, err
}

// parseRange returns a parser of a whole number in a range. The parser suggests 24 for /24.
func parseRange(least, most int) func(string) (int, error) {
	return func(text string) (int, error) {
		number, isLength := strings.CutPrefix(text, "/")
		value, err := strconv.Atoi(number)
		inRange := err == nil && value >= least && value <= most
		if inRange && !isLength {
			return value, nil
		}
		err = fmt.Errorf("%q is not a whole number from %d to %d", text, least, most)
		if inRange {
			err = cli.Suggest(err, number)
		}
		return 0, err
	}
}

// parseRate parses a limit that can be off.
func parseRate(text string) (int, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	value, err := cli.ParseCount(text)
	if err != nil {
		err = cli.Suggest(fmt.Errorf("%q is not a whole number from 1, or off", text), cli.GuessCount(text))
	}
	return value, err
}

// maxName limits the name of a listener in bytes, since each record has the name.
const maxName = 64

func parseName(text string) (string, error) {
	if text == "" || len(text) > maxName {
		return "", fmt.Errorf("%q is not a name of 1 to %d bytes", text, maxName)
	}
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("%q has characters that are not printable ASCII", text)
		}
	}
	return text, nil
}

func parseHTTP(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if _, err := hostport.Parse("tcp", text); err != nil {
		meant := client.GuessAddress(text)
		switch cmp.Or(cli.GuessBool(text), strings.ToLower(text)) {
		case "true":
			meant = client.DefaultAddress
		case "false":
			meant = "''"
		}
		return "", cli.Suggest(err, meant)
	}
	return text, nil
}

func parseList(text string) ([]string, error) {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return nil, fmt.Errorf("%q has an empty part", text)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// parseNSID parses the name of a server: printable text, or 0x and hexadecimal digits.
func parseNSID(text string) (nsid []byte, err error) {
	nsid = []byte(text)
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		if nsid, err = hex.DecodeString(digits); err != nil {
			return nil, fmt.Errorf("%q is not 0x and pairs of hexadecimal digits", text)
		}
	} else if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return nil, fmt.Errorf("%q has characters that are not printable: write 0x and hexadecimal digits", text)
	}
	if len(nsid) == 0 || len(nsid) > dns.MaxNSID {
		return nil, fmt.Errorf("%d bytes: an NSID has 1 to %d", len(nsid), dns.MaxNSID)
	}
	return nsid, nil
}

func parseAddresses(text string) ([]netip.Addr, error) {
	var addresses []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		at, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil || at.Zone() != "" {
			return nil, fmt.Errorf("%q is not an address such as 192.0.2.1 or 2001:db8::1", part)
		}
		addresses = append(addresses, at.Unmap())
	}
	return addresses, nil
}
