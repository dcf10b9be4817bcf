package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// text returns a file's content without the space round it.
func text(path ...string) (string, error) {
	content, err := os.ReadFile(filepath.Join(path...))
	return strings.TrimSpace(string(content)), err
}

// number reads a file that holds one.
func number(path ...string) (uint64, error) {
	content, err := text(path...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(content, 10, 64)
}
