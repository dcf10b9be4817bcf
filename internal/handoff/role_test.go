package handoff

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each pair of role and event has the next role that this table names, and no other pair is
// possible.
func TestRoles(t *testing.T) {
	type pair struct {
		role  Role
		event Event
	}
	want := map[pair]Role{
		{Starting, ActiveFound}:              Standby,
		{Starting, Activated}:                Active,
		{Standby, StandbyEnded}:              Starting,
		{Standby, Activated}:                 Active,
		{Active, QuiesceRequested}:           Quiescing,
		{Active, StopRequested}:              Draining,
		{Active, StopPassedOn}:               Stopping,
		{Active, Failed}:                     Draining,
		{Active, Replaced}:                   Fenced,
		{Stopping, QuiesceRequested}:         QuiescingToStop,
		{Stopping, Failed}:                   Draining,
		{Stopping, Replaced}:                 Fenced,
		{Quiescing, Resumed}:                 Active,
		{Quiescing, HandoverCommitted}:       HandedOver,
		{Quiescing, StopRequested}:           QuiescingToStop,
		{Quiescing, Replaced}:                Fenced,
		{QuiescingToStop, Resumed}:           Stopping,
		{QuiescingToStop, HandoverCommitted}: HandedOver,
		{QuiescingToStop, Replaced}:          Fenced,
		{Draining, Replaced}:                 Fenced,
	}
	for role := range roles {
		for event := range events {
			next, err := role.Next(event)
			wanted, possible := want[pair{role, event}]
			if possible && (err != nil || next != wanted) {
				t.Errorf("%s, %s: got %s, %v, want %s", role, event, next, err, wanted)
			}
			if !possible && (err == nil || next != role) {
				t.Errorf("%s, %s: got %s, %v, want an error", role, event, next, err)
			}
		}
	}
}

// A process that is not the owner of the sockets any more, or drains, ends.
func TestRolesThatEnd(t *testing.T) {
	for role := range roles {
		want := role == Draining || role == HandedOver || role == Fenced
		if role.Ends() != want {
			t.Errorf("%s: got %t, want %t", role, role.Ends(), want)
		}
	}
}

// The table in docs/architecture.md has the same transitions, and describes each event.
func TestRolesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## The roles of a process")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]string) // "role, event": next role
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z ]+) \| [^|]* \| ([a-z ]+) \| ([a-z ]+) \|$`).FindAllStringSubmatch(section, -1) {
		documented[row[1]+", "+row[2]] = row[3]
	}
	count := 0
	for role, next := range transitions {
		for event, to := range next {
			count++
			if got := documented[role.String()+", "+event.String()]; got != to.String() {
				t.Errorf("%s, %s: docs/architecture.md says %q, want %q", role, event, got, to)
			}
		}
	}
	if len(documented)-1 != count { // without the heading
		t.Errorf("docs/architecture.md has %d transitions, want %d", len(documented)-1, count)
	}
	for event := range events {
		if !strings.Contains(section, "\n| "+event.String()+" | ") {
			t.Errorf("docs/architecture.md does not describe %q", event)
		}
	}
}
