package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/packet/dns"
)

func parseAddress(text string) (string, error) {
	if _, err := hostport.Parse("udp", text); err != nil {
		return "", cli.Suggest(err, cli.MeantAddress(text, "", DefaultPort))
	}
	return text, nil
}

// DefaultPort is that of serve's default address.
const DefaultPort = "5514"

func parseOutput(text string) (string, error) {
	err := output.Check(text)
	if err == nil {
		return text, nil
	}
	meant := cli.Nearest(text, []string{"stdout", "discard"})
	switch kind, path, hasPath := strings.Cut(text, ":"); {
	case text == "-":
		meant = "stdout"
	case hasPath && path != "" && kind != "file" && cli.Nearest(kind, []string{"file"}) != "":
		meant = "file:" + path
	case strings.Contains(text, "/") && !hasPath:
		meant = "file:" + text
	}
	return text, cli.Suggest(err, meant)
}

func parseSteer(text string) (steer.Mode, error) {
	mode, err := steer.Parse(text)
	if err != nil {
		err = cli.SuggestChoice(err, text, steer.Modes)
	}
	return mode, err
}

// parseStall leaves the range to the engine.
func parseStall(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	d, err := cli.ParseDuration(text)
	if err != nil {
		const leastMillis = 50 // nobody means so many seconds
		bare := time.Second
		if n, _ := strconv.Atoi(text); n >= leastMillis {
			bare = time.Millisecond
		}
		err = fmt.Errorf("%q is not a duration such as 250ms or 1s, or off", text)
		err = cli.Suggest(err, cli.MeantDuration(text, bare))
	}
	return d, err
}

// ratePrefix is a key with keys of its own in the file.
const ratePrefix = "rate_limit_prefix"

// parsePrefixLength returns a parser of a prefix length from 1 to most.
func parsePrefixLength(most int) func(string) (int, error) {
	return func(text string) (int, error) {
		value, err := strconv.Atoi(text)
		if err != nil || value < 1 || value > most {
			meant := strings.TrimPrefix(text, "/")
			if n, err := strconv.Atoi(meant); meant == text || err != nil || n < 1 || n > most {
				meant = ""
			}
			return 0, cli.Suggest(fmt.Errorf("%q is not a whole number from 1 to %d", text, most), meant)
		}
		return value, nil
	}
}

// parseRate reads a limit that can be off.
func parseRate(text string) (int, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	value, err := cli.ParseCount(text)
	if err != nil {
		err = cli.Suggest(fmt.Errorf("%q is not a whole number from 1, or off", text), cli.MeantCount(text))
	}
	return value, err
}

// maxName keeps records and metrics short.
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
		meant := client.MeantAddress(text)
		switch cmp.Or(cli.MeantBool(text), strings.ToLower(text)) {
		case "true":
			meant = client.DefaultAddress
		case "false":
			meant = "''"
		}
		return "", cli.Suggest(err, meant)
	}
	return text, nil
}

// shortestStandby is what no scheduler's mood takes for long.
const shortestStandby = 50 * time.Millisecond

func parseStandbyAfter(text string) (time.Duration, error) {
	d, err := parseStall(text)
	if err == nil && d != 0 && d < shortestStandby {
		err = fmt.Errorf("%s is less than %s", d, shortestStandby)
	}
	return d, err
}

func parseSlip(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 || value > dns.MaxSlip {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", text, dns.MaxSlip)
	}
	return value, nil
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
