package doctor

import "fmt"

// Level is what a finding means for datagrams.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn" // may lose under load, or skew
	Fail Level = "fail" // loses now, or will as configured
	Skip Level = "skip" // could not be seen; Finding says why
)

// Finding is what one check says.
type Finding struct {
	Check    string `json:"check"`
	Listener string `json:"listener,omitempty"` // the name of the one that it is about, where it is about one
	Level    Level  `json:"level"`
	Finding  string `json:"finding"`
	Remedy   string `json:"remedy,omitempty"` // what to paste, for Warn and Fail
}

// check makes the findings of one check.
type check string

func (c check) ok(format string, a ...any) Finding {
	return Finding{Check: string(c), Level: OK, Finding: fmt.Sprintf(format, a...)}
}

func (c check) skip(format string, a ...any) Finding {
	return Finding{Check: string(c), Level: Skip, Finding: fmt.Sprintf(format, a...)}
}

func (c check) warn(remedy, format string, a ...any) Finding {
	return Finding{Check: string(c), Level: Warn, Remedy: remedy, Finding: fmt.Sprintf(format, a...)}
}

func (c check) fail(remedy, format string, a ...any) Finding {
	return Finding{Check: string(c), Level: Fail, Remedy: remedy, Finding: fmt.Sprintf(format, a...)}
}
