package syslog

import (
	"math"
	"testing"
)

func TestNameTableRoundWraps(t *testing.T) {
	names := func(all ...string) (params []Param) {
		for _, name := range all {
			params = append(params, Param{Name: []byte(name)})
		}
		return params
	}
	var table nameTable
	table.linkRepeats(names("a", "b", "c")) // leaves slots of the first round
	table.round = math.MaxUint32
	params := names("a", "b", "c", "a")
	table.linkRepeats(params)
	for i, p := range params {
		if again := i == 3; p.again != again || (p.next == 3) != (i == 0) {
			t.Errorf("param %d: again %v, next %d", i, p.again, p.next)
		}
	}
}
