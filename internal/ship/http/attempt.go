package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

const (
	// maxErrorBody is how much of the body of an error is read.
	maxErrorBody = 16 << 10
	// maxAcceptedBody is how much of the body of an answer with a 2xx status is read: an item of
	// Elasticsearch with an error has 1 KiB or less, and a batch 8192 records.
	maxAcceptedBody = 32 << 20
	// maxDrain and drainTime bound the rest of a body that is read to use the connection again.
	maxDrain  = 16 << 20
	drainTime = time.Second
)

// attempt sends the body to an endpoint once, and notes the result of each record in results. The
// error is a *refusal, an *ship.Error or a temporary error, without secrets.
func (t *target) attempt(ctx context.Context, e *endpoint, b *ship.Batch, part []int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("no answer within %v", t.timeout))
	defer cancel()
	request, secrets, err := t.newRequest(ctx, e, b, part)
	if err != nil {
		return ship.Permanent(err)
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return withoutAnswer(err, sendError(ctx, err))
	}
	defer func() {
		defer time.AfterFunc(drainTime, cancel).Stop()
		io.CopyN(io.Discard, answer.Body, maxDrain)
		answer.Body.Close()
	}()
	if answer.StatusCode/100 == 2 {
		if err := checkPage(answer); err != nil {
			return err
		}
		if err := t.format.accepted(io.LimitReader(answer.Body, maxAcceptedBody), part, &t.results); err != nil {
			return sendError(ctx, err)
		}
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	answer.Header.Set("Location", hide(secrets, answer.Header.Get("Location")))
	return t.judge(answer, hide(secrets, string(text)), b, part)
}

// newRequest returns the request for the body, and the secrets in the request.
func (t *target) newRequest(
	ctx context.Context, e *endpoint, b *ship.Batch, part []int,
) (r *http.Request, secrets []string, err error) {
	id, hasID := partID(b, part)
	u := e.url
	if t.idParameter != "" && hasID {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(t.idParameter) + "=" + url.QueryEscape(id)
	}
	r, err = http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return nil, nil, errors.New("the URL makes no request")
	}
	t.body.attach(r)
	r.Header.Set("User-Agent", "udpshard")
	t.format.setHeader(r.Header)
	if hasID {
		r.Header.Set("Idempotency-Key", id)
	}
	value := func(key string) string {
		text, valueErr := t.settings.Value(key)
		if valueErr != nil {
			err = valueErr
		} else if text != "" && key != "user" {
			secrets = append(secrets, text)
		}
		return text
	}
	if token := value("token"); token != "" {
		r.Header.Set("Authorization", t.authScheme+" "+token)
	}
	if user, password := value("user"), value("password"); user != "" {
		r.SetBasicAuth(user, password)
		_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		secrets = append(secrets, encoded)
	}
	for _, key := range t.headers {
		r.Header.Set(strings.TrimPrefix(key, ship.HeaderPrefix), value(key))
	}
	return r, secrets, err
}

// sendError returns the error of a request without an answer, or with a part of one.
func sendError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, whose query may have a secret
	}
	if setting := new(settingError); errors.As(err, &setting) {
		return ship.Permanent(setting.error)
	}
	return withoutAddresses(err)
}

// withoutAddresses returns the reason of a failed read or write. The port of this side changes with
// each connection, and the name of the endpoint stands before the error.
func withoutAddresses(err error) error {
	for {
		op := new(net.OpError)
		if !errors.As(err, &op) || op.Op != "read" && op.Op != "readfrom" && op.Op != "write" {
			break
		}
		err = op.Err
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection before the answer")
	}
	return err
}

// errNoAnswer is the error of a request that was sent to a server, at least in part, and had no answer.
var errNoAnswer = errors.New("no answer")

// withoutAnswer returns the error of a request, with errNoAnswer if the connection was made.
func withoutAnswer(cause, err error) error {
	var dial *net.OpError
	if errors.As(cause, &dial) && dial.Op == "dial" {
		return err
	}
	return &silentError{err}
}

// silentError is an error that is errNoAnswer, too.
type silentError struct{ error }

func (e *silentError) Unwrap() []error { return []error{e.error, errNoAnswer} }

// hide replaces secrets in the text of a server.
func hide(secrets []string, text string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
