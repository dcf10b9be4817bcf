package cli

import (
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// quantity is a number with a unit.
var quantity = regexp.MustCompile(`^([0-9][0-9_,]*(?:\.[0-9]+)?) ?([A-Za-z/]*)$`)

// readQuantity parses a number with a unit, with digit separators and spaces. The unit is returned
// in lower case.
func readQuantity(text string) (number float64, unit string, ok bool) {
	parts := quantity.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return 0, "", false
	}
	number, err := strconv.ParseFloat(strings.NewReplacer("_", "", ",", "").Replace(parts[1]), 64)
	return number, strings.ToLower(parts[2]), err == nil && number > 0 && number <= math.MaxInt32
}

// GuessSize returns the size for a text such as 32M, 32MB, 32 mib or 1.5MiB, else "".
func GuessSize(text string) string {
	number, unit, ok := readQuantity(text)
	prefix := strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	factor, known := map[string]float64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[prefix]
	bytes := number * factor
	if !ok || !known || bytes < 1 || bytes > 1<<40 {
		return ""
	}
	return FormatSize(int(bytes))
}

// GuessBool returns true or false for the words of other programs, such as on and off, else "".
func GuessBool(text string) string {
	switch strings.ToLower(text) {
	case "on", "yes", "y", "enabled":
		return "true"
	case "off", "no", "n", "none", "disabled":
		return "false"
	}
	return ""
}

// GuessDuration returns the duration for a text such as 5, 5sec or 1d, else "". bare is the unit of
// a number without a unit.
func GuessDuration(text string, bare time.Duration) string {
	number, unit, ok := readQuantity(text)
	if len(unit) > len("ms") {
		unit = strings.TrimSuffix(unit, "s")
	}
	factor, known := map[string]time.Duration{
		"": bare, "ms": time.Millisecond, "msec": time.Millisecond, "milli": time.Millisecond,
		"s": time.Second, "sec": time.Second, "second": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute,
		"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour,
	}[unit]
	if d := number * float64(factor); ok && known && d < math.MaxInt64 {
		return shortDuration(time.Duration(d))
	}
	return ""
}

// shortDuration writes a duration without parts of 0: 5m, not 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// GuessCount returns the whole number for a text such as 50k, 50,000 or 50/s, else "".
func GuessCount(text string) string {
	number, unit, ok := readQuantity(text)
	unit = strings.TrimSuffix(unit, "/s")
	factor, known := map[string]float64{"": 1, "k": 1e3, "m": 1e6}[unit]
	if n := number * factor; ok && known && n == math.Trunc(n) {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return ""
}

// GuessPrefixes returns the prefixes for a list with any or all, or with bits set behind a prefix's
// length, else "".
func GuessPrefixes(list string) string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		switch _, addrErr := netip.ParseAddr(part); {
		case err == nil:
			part = prefix.Masked().String()
		case addrErr == nil:
		case strings.EqualFold(part, "any"), strings.EqualFold(part, "all"), part == "*":
			part = "0.0.0.0/0,::/0"
		default:
			return ""
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// hostName is a host name without a port.
var hostName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]*$`)

// portName is a port with letters behind.
var portName = regexp.MustCompile(`^([0-9]{2,5})[A-Za-z]*$`)

// GuessAddress returns the address for a text such as 5514, 5514x, 127.0.0.1, ::1 or localhost,
// with host or port where the text has none, else "".
func GuessAddress(text, host, port string) string {
	text = strings.TrimSpace(text)
	_, after, isURL := strings.Cut(text, "://")
	if isURL {
		text, _, _ = strings.Cut(after, "/")
	}
	if digits := portName.FindStringSubmatch(strings.TrimPrefix(text, ":")); digits != nil {
		if _, err := strconv.ParseUint(digits[1], 10, 16); err == nil {
			return net.JoinHostPort(host, digits[1])
		}
	}
	_, notBool := strconv.ParseBool(text)
	if notBool != nil && GuessBool(text) == "" && hostName.MatchString(text) {
		return net.JoinHostPort(text, port)
	}
	const leastPort = 100 // ::1:5514 could also be the address ::1:5514 without a port
	at := max(strings.LastIndexByte(text, ':'), 0)
	ip, err := netip.ParseAddr(text[:at])
	behind := text[min(at+1, len(text)):]
	if n, _ := strconv.ParseUint(behind, 10, 16); err == nil && ip.Is6() && n >= leastPort {
		return net.JoinHostPort(ip.String(), behind)
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	for _, bare := range []string{bare, strings.TrimSuffix(bare, ":")} {
		if ip, err := netip.ParseAddr(bare); err == nil {
			return net.JoinHostPort(ip.String(), port)
		}
	}
	if _, _, err := net.SplitHostPort(text); isURL && err == nil {
		return text
	}
	return ""
}
