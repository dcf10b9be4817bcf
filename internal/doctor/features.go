package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/probe"
)

// kernelFeatures judges the table of package probe: a line for each feature
// that serve can't do without, and one for the rest.
func kernelFeatures(features []probe.Feature) []Finding {
	const c check = "kernel"
	var findings []Finding
	var works, missing []string
	for _, f := range features {
		err := f.Probe()
		switch {
		case err == nil:
			works = append(works, f.Name)
		case probe.Untried(err):
			findings = append(findings, c.skip("%v: there was no free port to try it with", err))
		case f.Required && probe.Forbidden(err):
			findings = append(findings, c.fail("docker run --network host --security-opt seccomp=unconfined udpshard",
				"%v: serve needs it for %s; a seccomp profile or SystemCallFilter= forbids it", err, f.For))
		case f.Required:
			findings = append(findings, c.fail("boot Linux "+f.Since+" or later", "%v: serve needs it for %s", err, f.For))
		case probe.Forbidden(err):
			missing = append(missing, f.Name+": not permitted")
		default:
			missing = append(missing, fmt.Sprintf("%s: %s, since Linux %s", f.Name, f.For, f.Since))
		}
	}
	said := fmt.Sprintf("%d of %d features work: %s", len(works), len(features), strings.Join(works, ", "))
	if len(missing) > 0 {
		said += "; optional and missing: " + strings.Join(missing, "; ")
	}
	if len(works) == 0 {
		return findings
	}
	return append(findings, c.ok("%s", said))
}
