package client

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/httpaccess"
	"github.com/udpshard/udpshard/internal/regular"
)

// AddTokenFlag defines --http-token-file of a command that asks an instance, with the default of
// TokenFileVariable. *file is for WithTokenFile.
func AddTokenFlag(set *pflag.FlagSet, file *string) {
	*file = os.Getenv(TokenFileVariable)
	set.Var((*cli.FileName)(file), "http-token-file",
		"`FILE` with the token that the instance asks for; $"+TokenFileVariable+" changes the default")
}

// WithToken returns the instance with a token for requests that need one; "": without token.
func (i Instance) WithToken(token string) Instance {
	i.token, i.tokenFile = token, ""
	return i
}

// WithTokenFile returns the instance with a file that has the token; "": without token. The file is
// read for each request, so that a changed token is used.
func (i Instance) WithTokenFile(file string) Instance {
	i.token, i.tokenFile = "", file
	return i
}

// maxTokenFile is the largest length in bytes that is read of a file with a token.
const maxTokenFile = 64 << 10

// readToken returns the token, or the content of the file without spaces and newlines at both ends.
func (i Instance) readToken() (token string, err error) {
	if i.tokenFile == "" {
		return i.token, nil
	}
	file, err := regular.Open(i.tokenFile)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile))
	token = strings.TrimSpace(string(text))
	if err == nil {
		err = httpaccess.CheckToken(token)
	}
	if err != nil {
		return "", fmt.Errorf("token: %s: %w", i.tokenFile, err)
	}
	return token, nil
}
