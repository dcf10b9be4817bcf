package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/probe"
)

// features probes the table of package probe: a finding for each required feature that is missing,
// and one for all others.
func (r *results) features(features []probe.Feature) {
	var works, missing []string
	for _, f := range features {
		err := f.Probe()
		switch {
		case err == nil:
			works = append(works, f.Name)
		case probe.Untried(err):
			r.skip("%v: no free port to try the feature with", err)
		case f.Required && probe.Forbidden(err):
			r.fail("docker run --network host --security-opt seccomp=unconfined udpshard",
				"%v: serve needs it for %s; a seccomp profile or SystemCallFilter= forbids it", err, f.For)
		case f.Required:
			r.fail("boot Linux "+f.Since+" or later", "%v: serve needs it for %s", err, f.For)
		case probe.Forbidden(err):
			missing = append(missing, f.Name+": not permitted")
		default:
			missing = append(missing, fmt.Sprintf("%s: %s, since Linux %s", f.Name, f.For, f.Since))
		}
	}
	if len(works) == 0 {
		return
	}
	said := fmt.Sprintf("%d of %d features work: %s", len(works), len(features), strings.Join(works, ", "))
	if len(missing) > 0 {
		said += "; optional and missing: " + strings.Join(missing, "; ")
	}
	r.ok("%s", said)
}
