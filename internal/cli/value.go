package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseBool parses true, false, and the other forms of strconv.ParseBool.
func ParseBool(text string) (bool, error) {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, Suggest(fmt.Errorf("%q is neither true nor false", text), GuessBool(text))
	}
	return value, nil
}

// ParseCount reads a whole number from 1.
func ParseCount(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		return 0, Suggest(fmt.Errorf("%q is not a whole number from 1", text), GuessCount(text))
	}
	return value, nil
}

// ParseDuration reads a duration of Go, or 0.
func ParseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		err := fmt.Errorf("%q is not a duration such as 500ms, 10s or 1m", text)
		return 0, Suggest(err, GuessDuration(text, time.Second))
	}
	return value, nil
}

// ParseChoice returns a parser that accepts only the given words.
func ParseChoice[T ~string](words ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if slices.Contains(words, T(text)) {
			return T(text), nil
		}
		var names []string
		for _, w := range words {
			names = append(names, string(w))
		}
		err := fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
		return "", SuggestChoice(err, text, words)
	}
}

// ParseSize reads a number of bytes: 4096, 4096B, 32KiB, 32MiB, 1GiB.
func ParseSize(text string) (int, error) {
	number, unit := text, 1
	for _, u := range []struct {
		name string
		size int
	}{{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
		}
	}
	value, err := strconv.ParseUint(number, 10, 32)
	if err != nil || value == 0 {
		err := fmt.Errorf("%q is not a size such as 8192, 64KiB, 32MiB or 1GiB", text)
		return 0, Suggest(err, GuessSize(text))
	}
	return int(value) * unit, nil
}

// FormatSize writes a number of bytes in the form of ParseSize.
func FormatSize(bytes int) string {
	switch {
	case bytes >= 1<<30 && bytes%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", bytes>>30)
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", bytes>>10)
	}
	return fmt.Sprintf("%dB", bytes)
}

// ParseCPUs reads the kernel's list format: 0,2-5.
func ParseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.ParseUint(low, 10, 13)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(high, 10, 13)
		}
		if err != nil || last < first {
			return nil, fmt.Errorf("%q is not a list of CPUs such as 0,2-5", text)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}

// ParsePrefixes reads a list of CIDR prefixes and addresses.
func ParsePrefixes(text string) ([]netip.Prefix, error) {
	prefixes := []netip.Prefix{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, addrErr := netip.ParseAddr(part)
			if addrErr != nil || addr.Zone() != "" {
				err := fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32", part)
				return nil, Suggest(err, GuessPrefixes(text))
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix != prefix.Masked() {
			return nil, Suggest(fmt.Errorf("%s has bits set behind its length", prefix), GuessPrefixes(text))
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
