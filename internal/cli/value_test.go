package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{
		"1": 1, "8192": 8192, "1KiB": 1 << 10, "64 KiB": 64 << 10, "32MiB": 32 << 20, "1GiB": 1 << 30, "4294967295": 1<<32 - 1,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
		if again, err := ParseSize(strings.TrimSuffix(FormatSize(got), "B")); err != nil && !strings.HasSuffix(FormatSize(got), "iB") || err == nil && again != got {
			t.Errorf("%s is written as %s, which is %d", text, FormatSize(got), again)
		}
	}
	for _, text := range []string{"", "0", "0KiB", "-1", "+1", "1.5MiB", "1MB", "1k", "1K", "KiB", "1kib", "0x10", "1e3", "4294967296", "99999999999999999999", "１"} {
		if got, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not a size", text)) {
			t.Errorf("%q is %d, error %v", text, got, err)
		}
	}
	for bytes, want := range map[int]string{1: "1B", 1000: "1000B", 1 << 10: "1KiB", 1536: "1536B", 4 << 20: "4MiB", 3 << 30: "3GiB", 1<<30 + 1<<20: "1025MiB"} {
		if got := FormatSize(bytes); got != want {
			t.Errorf("%d is written as %s, want %s", bytes, got, want)
		}
	}
}

func TestCPULists(t *testing.T) {
	for text, want := range map[string][]int{
		"0": {0}, "0,2-5": {0, 2, 3, 4, 5}, "3,1": {3, 1}, "1,1": {1, 1}, "4-4": {4}, " 0 , 2-3 ": {0, 2, 3}, "8191": {8191},
	} {
		if got, err := ParseCPUs(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ",", "0,", "-", "-1", "1-", "5-2", "a", "0-1-2", "0x1", "1.0", "8192", "99999999999", "0;1"} {
		if got, err := ParseCPUs(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q is not a list of CPUs", text)) {
			t.Errorf("%q is %v, error %v", text, got, err)
		}
	}
}
