package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/sys"
)

// hash judges by which fields a device deals UDP to its queues. Many do it by
// addresses alone, lest fragments, which have no ports, overtake others: then
// a host that sends a lot, or a relay, fills one queue.
func (e *examination) hash(name string) []Finding {
	const c check = "udp hash"
	const addresses, ports = sys.HashSourceAddress | sys.HashDestinationAddress, sys.HashSourcePort | sys.HashDestinationPort
	var findings []Finding
	var good []string
	var untold error
	for _, kind := range []struct {
		name string
		flow uint32
	}{{"udp4", sys.FlowUDP4}, {"udp6", sys.FlowUDP6}} {
		fields, err := e.Ethtool.FlowHash(name, kind.flow)
		remedy := fmt.Sprintf("ethtool -N %s rx-flow-hash %s sdfn", name, kind.name)
		switch {
		case err != nil:
			untold = err
			findings = append(findings, c.skip("%s: its driver does not tell what %s is hashed by: %v", name, kind.name, err))
		case fields&ports == ports && fields&addresses == addresses:
			good = append(good, kind.name)
		case fields&ports == 0:
			findings = append(findings, c.warn(remedy, "%s: %s is hashed by addresses alone (%s): all flows of a sender land in one queue, on one CPU", name, kind.name, letters(fields)))
		default:
			findings = append(findings, c.warn(remedy, "%s: %s is hashed by %s and not all of sdfn: flows spread less than they could", name, kind.name, letters(fields)))
		}
	}
	if len(good) > 0 {
		findings = append(findings, c.ok("%s: %s by addresses and ports (sdfn)", name, strings.Join(good, " and ")))
	}
	if len(findings) == 2 && findings[0].Level == Skip && findings[1].Level == Skip {
		return []Finding{c.skip("%s: its driver does not tell: %v", name, untold)}
	}
	return findings
}

// letters writes hash fields as ethtool(8) does.
func letters(fields uint64) string {
	var b strings.Builder
	for i, letter := range []byte("sdfn") {
		if fields&(sys.HashSourceAddress<<i) != 0 {
			b.WriteByte(letter)
		}
	}
	if b.Len() == 0 {
		return "none of sdfn"
	}
	return b.String()
}
