package dns

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

func FuzzQuery(f *testing.F) {
	z := mustZones(f, testZone, childZone, wildcardZone, chainZone)
	sunk := z.WithSinkhole(sinkAddresses)
	for _, table := range [][]answerTest{testAnswers, childAnswers, wildcardAnswers, chainAnswers} {
		for _, a := range table {
			f.Add(packQuestion(f, a.question, false, 0), uint16(MaxUDPSize))
			f.Add(packQuestion(f, a.question, true, 700), uint16(maxTCPSize))
		}
	}
	for _, tt := range decodeTests {
		f.Add(tt.message, uint16(MaxUDPSize))
	}
	f.Fuzz(func(t *testing.T, message []byte, most uint16) {
		if most < minUDPSize {
			most = minUDPSize
		}
		kept := bytes.Clone(message)
		var q query
		_, ok := q.decode(message)
		if want := len(message) >= HeaderSize && binary.BigEndian.Uint16(message[2:])&flagQR == 0; ok != want {
			t.Fatalf("answered: %v", ok)
		}
		if !ok {
			return
		}
		for _, z := range []*Zones{z, sunk} {
			m := askZones(t, z, message, int(most))
			if (m.Rcode == miekg.RcodeFormatError || m.Rcode == miekg.RcodeNotImplemented) && len(m.Answer)+len(m.Ns) > 0 {
				t.Errorf("%v", m)
			}
		}
		if !bytes.Equal(kept, message) {
			t.Error("the message was written to")
		}
	})
}

// manyGenerated matches a $GENERATE of 1000 records or more, whose parsing would slow the fuzzer
// down.
var manyGenerated = regexp.MustCompile(`(?i)\$GENERATE[\s(]+\S*[0-9]{4}|(?is)(\$GENERATE.*){8}`)

// FuzzZone reads zones from any text. Errors have to name the position, and an accepted zone has to
// answer for its names.
func FuzzZone(f *testing.F) {
	f.Add(testZone)
	f.Add(childZone)
	f.Add(wildcardZone)
	f.Add(chainZone)
	for _, tt := range badZones {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8192 || manyGenerated.MatchString(text) {
			return
		}
		z, err := newZones(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "zone1:") {
				t.Errorf("%v does not say where", err)
			}
			return
		}
		var q query
		nodes := z.list[0].nodes
		for i := range nodes[1:min(len(nodes), 50)] {
			name := string(z.list[0].nameOf(&nodes[1+i]))
			for _, name := range []string{name, "\x01x" + name, "\x01a\x01b" + name} {
				if len(name) > maxName {
					continue
				}
				for _, rtype := range []byte{typeA, typeMX, typeANY} {
					message := append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
					message = append(message, 0, rtype, 0, classIN)
					if _, ok := q.decode(message); !ok {
						t.Fatal("not decoded")
					}
					for _, most := range []int{MaxUDPSize, maxTCPSize} {
						askZones(t, z, message, most)
					}
				}
			}
		}
	})
}
