package loadgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

// ParseTotal parses a number of datagrams, from 1.
func ParseTotal(text string) (uint64, error) {
	n, err := cli.ParseCount(text)
	return uint64(n), err
}

// ParseRate parses datagrams a second. 0 means without a limit.
func ParseRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) {
		return 0, cli.Suggest(fmt.Errorf("%q is not a number of datagrams a second", text), cli.GuessCount(text))
	}
	return n, nil
}

// ParseShare parses a share of all datagrams: 0.9 or 90%.
func ParseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, fmt.Errorf("%q is not a share from 0 to 1, or 0%% to 100%%", text)
	}
	return n, nil
}
