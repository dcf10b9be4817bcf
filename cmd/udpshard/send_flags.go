package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// parsedFlag is a pflag.Value of any type that has a parser.
type parsedFlag[T any] struct {
	to    *T
	text  string
	parse func(string) (T, error)
}

func (f *parsedFlag[T]) String() string { return f.text }

func (f *parsedFlag[T]) Type() string { return "string" }

func (f *parsedFlag[T]) Set(text string) error {
	value, err := f.parse(text)
	if err == nil {
		*f.to, f.text = value, text
	}
	return err
}

// addFlag defines a flag whose default is what to holds; a zero one is not
// shown.
func addFlag[T any](set *pflag.FlagSet, to *T, name string, parse func(string) (T, error), usage string) {
	text := fmt.Sprint(*to)
	if text == "0" || text == "[]" {
		text = ""
	}
	set.Var(&parsedFlag[T]{to, text, parse}, name, usage)
}

func parseUnsigned(text string) (uint64, error) {
	n, err := cli.ParseCount(text)
	return uint64(n), err
}

func parseSendRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) {
		return 0, cli.Suggest(fmt.Errorf("%q is not a number of datagrams a second", text), cli.MeantCount(text))
	}
	return n, nil
}

// parseShare reads 0.9 or 90%.
func parseShare(text string) (float64, error) {
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
