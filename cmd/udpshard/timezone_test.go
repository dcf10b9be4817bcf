package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The time zone of TZ is logged if Go does not understand TZ, and not if TZ is empty, absent or
// valid.
func TestUnknownTimeZoneIsLogged(t *testing.T) {
	if _, err := time.LoadLocation("Asia/Kolkata"); err != nil {
		t.Skip("this host has no time zones: apt-get install tzdata")
	}
	const warning = `"message":"time zone unknown"`
	for tz, unknown := range map[string]bool{"<+0530>-5:30": true, "XYZ-5:30": true, "": false, "UTC": false, "Asia/Kolkata": false, ":Asia/Kolkata": false} {
		p := startServe(t, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Environ(), "TZ="+tz) }, "--listen", freePort(t), "--shards", "1", "--output", "discard")
		p.waitForLog("listening")
		if p.terminate(); p.hasLogged(warning) != unknown || unknown && !(p.hasLogged(`"TZ":"`+tz+`"`) && p.hasLogged("TZ=Asia/Kolkata")) {
			t.Errorf("TZ=%s: got log %s", tz, p.logs)
		}
	}
	p := startServe(t, func(cmd *exec.Cmd) {
		for _, variable := range cmd.Environ() {
			if !strings.HasPrefix(variable, "TZ=") {
				cmd.Env = append(cmd.Env, variable)
			}
		}
	}, "--listen", freePort(t), "--shards", "1", "--output", "discard")
	if p.terminate(); p.hasLogged(warning) {
		t.Errorf("without TZ: got log %s", p.logs)
	}
}
