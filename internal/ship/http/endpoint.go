package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// endpoint is one URL of a target.
type endpoint struct {
	url       url.URL
	name      string    // scheme and host, for errors
	downUntil time.Time // after a failure: other endpoints are used before this time
}

const (
	// minDown is how long a failed endpoint is not used if another works. A failed endpoint costs
	// one failed request, which a batch waits for.
	minDown = 30 * time.Second
	// downPerWait bounds the time that requests to a hanging endpoint cost to a tenth: a request
	// that failed after 60 s is not repeated for 10 minutes.
	downPerWait = 10
)

// parseEndpoints returns the endpoints of the URL, and of the option also.
func parseEndpoints(s *ship.Settings, k kind) (all []*endpoint, err error) {
	urls := []*url.URL{s.URL}
	if also := s.Options["also"]; also != "" {
		for text := range strings.SplitSeq(also, ",") {
			u, parseErr := url.Parse(strings.TrimSpace(text))
			switch {
			case parseErr != nil: // url.Parse quotes the text, which may have a password
				err = cli.Join(err, errors.New("option also: not a list of URLs, separated by commas"))
			case u.Scheme != "http" && u.Scheme != "https":
				err = cli.Join(err, errors.New("option also: each URL begins with http:// or https://"))
			case u.User != nil || u.Fragment != "":
				err = cli.Join(err, errors.New("option also: the URLs have neither user nor options: "+
					"the options of the target are for all its URLs"))
			case ship.CheckQuery(u) != nil:
				err = cli.Join(err, cli.OptionError("also", ship.CheckQuery(u)))
			default:
				urls = append(urls, u)
			}
		}
	}
	for _, u := range urls {
		if u.Hostname() == "" || strings.Contains(u.Host, ",") {
			err = cli.Join(err, fmt.Errorf("%s: needs one host; the option also has further URLs", u))
			continue
		}
		e := &endpoint{url: *u, name: u.Scheme + "://" + u.Host}
		if strings.Trim(u.Path, "/") == "" {
			e.url.Path = cmp.Or(k.path, u.Path, "/")
		}
		if k.pathSuffix != "" && !strings.HasSuffix(e.url.Path, k.pathSuffix) {
			err = cli.Join(err, fmt.Errorf("%s: the path must end in %s", u, k.pathSuffix))
		}
		all = append(all, e)
	}
	return all, err
}

// request sends the records part to the first endpoint that works. The error is a *refusal, or tells
// why all endpoints failed.
func (t *target) request(ctx context.Context, b *ship.Batch, part []int) error {
	if err := t.body.write(t.format, b, part); err != nil {
		return err
	}
	var failed []error
	for _, e := range t.inOrder() {
		start := time.Now()
		err := t.attempt(ctx, e, b, part)
		if isRefusal := errors.As(err, new(*refusal)); err == nil || isRefusal || ctx.Err() != nil {
			return err
		}
		wait := max(minDown, downPerWait*time.Since(start), shipError(err).RetryAfter)
		e.downUntil = time.Now().Add(wait)
		failed = append(failed, fmt.Errorf("%s: %w", e.name, err))
	}
	return joinFailures(failed)
}

// inOrder returns the endpoints in the order of their use: endpoints that failed lately are last.
func (t *target) inOrder() []*endpoint {
	now := time.Now()
	t.order = append(t.order[:0], t.endpoints...)
	slices.SortStableFunc(t.order, func(a, b *endpoint) int {
		return cmp.Compare(a.down(now), b.down(now))
	})
	return t.order
}

// down returns 1 if the endpoint failed lately, else 0.
func (e *endpoint) down(now time.Time) int {
	if e.downUntil.After(now) {
		return 1
	}
	return 0
}

// joinFailures returns the error of a request that failed at all endpoints. The error is permanent
// if each is, and the least pause is the shortest.
func joinFailures(failed []error) error {
	joined := ship.Error{Permanent: true, RetryAfter: shipError(failed[0]).RetryAfter}
	var texts []string
	for _, err := range failed {
		e := shipError(err)
		joined.Permanent = joined.Permanent && e.Permanent
		joined.RetryAfter = min(joined.RetryAfter, e.RetryAfter)
		texts = append(texts, err.Error())
	}
	joined.Err = failed[0]
	if len(failed) > 1 {
		joined.Err = errors.New(strings.Join(texts, "; "))
	}
	return &joined
}

// shipError returns the *ship.Error in err, or a temporary one.
func shipError(err error) *ship.Error {
	if e := new(ship.Error); errors.As(err, &e) {
		return e
	}
	return &ship.Error{Err: err}
}
