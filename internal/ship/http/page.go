package http

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// checkPage returns an error if an answer with a 2xx status is a page of HTML: of a console at the
// same port, or of a login before the store. Such a server has stored nothing. A server that only
// calls its answer text/html acknowledges.
func checkPage(answer *http.Response) error {
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	start := strings.ToLower(strings.TrimSpace(string(text)))
	isStart := func(tag string) bool { return strings.HasPrefix(start, tag) }
	if err == nil && slices.ContainsFunc([]string{"<!doctype html", "<html"}, isStart) {
		return ship.Permanent(fmt.Errorf("%s with a page of HTML in place of a store's answer: "+
			"check the path of the URL", statusText(answer.StatusCode)))
	}
	answer.Body = &rest{io.MultiReader(strings.NewReader(string(text)), answer.Body), answer.Body}
	return nil
}

// rest is a body of which a part was read.
type rest struct {
	io.Reader
	io.Closer
}
