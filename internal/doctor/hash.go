package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/sys"
)

// hash checks by which fields each device with several queues spreads UDP. Many devices hash
// addresses alone, so that fragments, which have no ports, stay in order. A busy sender or a relay
// then fills a single queue.
func (e *examination) hash(r *results) {
	const addresses, ports = sys.HashSourceAddress | sys.HashDestinationAddress, sys.HashSourcePort | sys.HashDestinationPort
	for _, name := range e.devices() {
		if len(e.queueDirs(name)) < 2 {
			continue
		}
		var good, unknown []string
		var unknownErr error
		for _, kind := range []struct {
			name string
			flow uint32
		}{{"udp4", sys.FlowUDP4}, {"udp6", sys.FlowUDP6}} {
			fields, err := e.Ethtool.FlowHash(name, kind.flow)
			remedy := fmt.Sprintf("ethtool -N %s rx-flow-hash %s sdfn", name, kind.name)
			switch {
			case err != nil:
				unknown, unknownErr = append(unknown, kind.name), err
			case fields&ports == ports && fields&addresses == addresses:
				good = append(good, kind.name)
			case fields&ports == 0:
				r.warn(remedy, "%s: %s is hashed by addresses alone (%s): all flows of a sender go to one queue, on one CPU", name, kind.name, hashLetters(fields))
			default:
				r.warn(remedy, "%s: %s is hashed by %s and not all of sdfn: flows spread less than they could", name, kind.name, hashLetters(fields))
			}
		}
		if unknownErr != nil {
			r.skip("%s: the driver does not report the hash of %s: %v", name, strings.Join(unknown, " and "), unknownErr)
		}
		if len(good) > 0 {
			r.ok("%s: %s by addresses and ports (sdfn)", name, strings.Join(good, " and "))
		}
	}
}

// hashLetters writes hash fields as ethtool(8) does.
func hashLetters(fields uint64) string {
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
