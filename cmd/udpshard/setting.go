package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// setting is one thing that can be set, by a flag and by a key of the file.
type setting[T any] struct {
	flag  string
	key   string
	init  string // the default
	live  bool   // SIGHUP can change it
	bare  bool   // the flag alone means true
	list  bool   // in the file it may be a YAML list
	usage string
	set   func(to *T, text string) error
	means func(of *T) any // what it comes to, where other words, or none, come to the same; may be nil
}

// bind makes a setting of a parser and of where its result goes.
func bind[T, V any](parse func(string) (V, error), field func(*T) *V) func(*T, string) error {
	return func(to *T, text string) error {
		value, err := parse(text)
		if err == nil {
			*field(to) = value
		}
		return err
	}
}

func parseText(text string) (string, error) { return text, nil }

func parseBool(text string) (bool, error) {
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, suggest(fmt.Errorf("%q is neither true nor false", text), meantBool(text))
	}
	return value, nil
}

func parseCount(text string) (int, error) {
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		return 0, suggest(fmt.Errorf("%q is not a whole number from 1", text), meantCount(text))
	}
	return value, nil
}

func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		err := fmt.Errorf("%q is not a duration such as 500ms, 10s or 1m", text)
		return 0, suggest(err, meantDuration(text, time.Second))
	}
	return value, nil
}

// parseChoice returns a parser of one word out of several.
func parseChoice(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for _, word := range words {
			if text == word {
				return text, nil
			}
		}
		err := fmt.Errorf("%q is not one of %s", text, strings.Join(words, ", "))
		return "", suggest(err, nearest(text, words))
	}
}

// parseSize reads a number of bytes: 4096, 4096B, 32KiB, 32MiB, 1GiB.
func parseSize(text string) (int, error) {
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
		return 0, suggest(err, meantSize(text))
	}
	return int(value) * unit, nil
}

// formatSize writes it the way that parseSize reads it.
func formatSize(bytes int) string {
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

// parseCPUs reads the kernel's list format: 0,2-5.
func parseCPUs(text string) ([]int, error) {
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

// parsePrefixes reads a list of CIDR prefixes and addresses.
func parsePrefixes(text string) ([]netip.Prefix, error) {
	prefixes := []netip.Prefix{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, addrErr := netip.ParseAddr(part)
			if addrErr != nil || addr.Zone() != "" {
				err := fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32", part)
				return nil, suggest(err, meantPrefixes(text))
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix != prefix.Masked() {
			return nil, suggest(fmt.Errorf("%s has bits set behind its length", prefix), meantPrefixes(text))
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
