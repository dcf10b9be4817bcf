package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// text returns the content of a file without leading and trailing space.
func text(path ...string) (string, error) {
	content, err := os.ReadFile(filepath.Join(path...))
	return strings.TrimSpace(string(content)), err
}

// number reads a file that holds a number.
func number(path ...string) (uint64, error) {
	content, err := text(path...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(content, 10, 64)
}

// why shortens the error of a file to its path and its cause.
func why(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}
