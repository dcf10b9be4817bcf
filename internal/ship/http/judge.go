package http

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/udpshard/udpshard/internal/ship"
)

const (
	// maxQuote is how many characters of an answer an error has.
	maxQuote = 300
	// maxRetryAfter bounds the pause that a server asks for: the clock of the server may be wrong.
	maxRetryAfter = time.Hour
)

// judge returns the error of an answer whose status is not 2xx. text is the start of the body.
func (t *target) judge(answer *http.Response, text string, b *ship.Batch, part []int) error {
	err := errors.New(statusText(answer.StatusCode))
	if quoted := quote(text); quoted != "" {
		err = fmt.Errorf("%w: %s", err, quoted)
	}
	switch code := answer.StatusCode; code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return &ship.Error{Err: err, RetryAfter: parseRetryAfter(answer.Header, time.Now())}
	case http.StatusRequestEntityTooLarge:
		return &refusal{reason: err.Error(), tooLarge: true}
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusLengthRequired, http.StatusRequestURITooLong,
		http.StatusMisdirectedRequest, http.StatusUpgradeRequired,
		http.StatusRequestHeaderFieldsTooLarge:
		return ship.Permanent(err)
	case http.StatusUnsupportedMediaType:
		return ship.Permanent(fmt.Errorf("%w (options format and compress)", err))
	default:
		switch code / 100 {
		case 3:
			return ship.Permanent(redirectError(answer))
		case 4:
			return t.format.refused(text, err.Error(), b, part)
		case 5:
			return &ship.Error{Err: err, RetryAfter: parseRetryAfter(answer.Header, time.Now())}
		}
		return ship.Permanent(err)
	}
}

// statusText returns a status as in 503 Service Unavailable.
func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// redirectError says where a redirect leads that the target does not follow: see newClient.
func redirectError(answer *http.Response) error {
	to := "nowhere"
	if u, err := answer.Location(); err == nil {
		to = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	return fmt.Errorf("%s to %s: only 307 and 308 to the same host are followed: change the URL",
		statusText(answer.StatusCode), quote(to))
}

// parseRetryAfter returns the pause of a header field Retry-After: seconds, or a date (RFC 9110
// section 10.2.3). A pause that is no number and no date is 0.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(text); err == nil {
		limit := int(maxRetryAfter / time.Second)
		return time.Duration(min(max(seconds, 0), limit)) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// quote returns the first characters of a text as a part of an error: white space and control
// characters become one space.
func quote(text string) string {
	var quoted strings.Builder
	n, space := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			space = true
			continue
		}
		if n >= maxQuote {
			quoted.WriteString(" …")
			break
		}
		if space && n > 0 {
			quoted.WriteByte(' ')
			n++
		}
		quoted.WriteRune(r)
		n++
		space = false
	}
	return quoted.String()
}
