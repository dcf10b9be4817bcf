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
	for range 20 { // each table has another seed, and so other slots
		for _, all := range [][]string{{"a", "b", "c", "a"}, {"d", "e", "f", "d"}} {
			var table nameTable
			table.linkRepeats(names("a", "b", "c")) // leaves slots of the first round, and some of none
			table.round = math.MaxUint32
			params := names(all...)
			table.linkRepeats(params)
			for i, p := range params {
				if again := i == 3; p.repeated != again || (p.nextSame == 3) != (i == 0) {
					t.Errorf("param %d: again %v, next %d", i, p.repeated, p.nextSame)
				}
			}
		}
	}
}
