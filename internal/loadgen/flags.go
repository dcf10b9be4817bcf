package loadgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

func ParseUnsigned(text string) (uint64, error) {
	n, err := cli.ParseCount(text)
	return uint64(n), err
}

func ParseSendRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) {
		return 0, cli.Suggest(fmt.Errorf("%q is not a number of datagrams a second", text), cli.MeantCount(text))
	}
	return n, nil
}

// ParseShare reads 0.9 or 90%.
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
