package doctor

import "fmt"

// Level is what a finding means for datagrams.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn" // datagrams may be lost under load, or shards used unevenly
	Fail Level = "fail" // datagrams are lost now, or will be as configured
	Skip Level = "skip" // not visible from here; Finding says why
)

// Finding is one result of a check.
type Finding struct {
	Check    string `json:"check"`
	Listener string `json:"listener,omitempty"` // name, for the checks of a listener
	Level    Level  `json:"level"`
	Finding  string `json:"finding"`
	Remedy   string `json:"remedy,omitempty"` // what to paste, for Warn and Fail
}

// results collects the findings of one check.
type results struct {
	check, listener string
	findings        []Finding
}

func (r *results) add(level Level, remedy, format string, a ...any) {
	r.findings = append(r.findings, Finding{r.check, r.listener, level, fmt.Sprintf(format, a...), remedy})
}

func (r *results) ok(format string, a ...any)           { r.add(OK, "", format, a...) }
func (r *results) skip(format string, a ...any)         { r.add(Skip, "", format, a...) }
func (r *results) warn(remedy, format string, a ...any) { r.add(Warn, remedy, format, a...) }
func (r *results) fail(remedy, format string, a ...any) { r.add(Fail, remedy, format, a...) }
