package dns

import "sync/atomic"

// counter has one writer, and any number of readers.
type counter struct{ n atomic.Uint64 }

func (c *counter) add() { c.n.Store(c.n.Load() + 1) } // no locked instruction: nobody else writes

// countedTypes are the types that are counted by name: those that are asked
// for. All others are counted together, so that nobody can make names.
var countedTypes = [...]uint16{
	1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 46, 48, 52, 64, 65, 251, 252, 255, 257,
}

// countedRcodes are those that a server of static zones gives.
var countedRcodes = [...]Rcode{NoError, FormErr, NXDomain, NotImp, Refused, YXDomain, NotAuth, BadVers, BadCookie}

// other is the name of all that has none.
const other = "other"

// Counters are what one thread has counted.
type Counters struct {
	types   [len(countedTypes) + 1]counter // the last is other
	rcodes  [len(countedRcodes) + 1]counter
	ignored counter
	dropped counter
	slipped counter
	_       [128]byte // the next thread's are on other cache lines
}

// Counts are sums of Counters, by names of which there are few.
type Counts struct {
	Types   map[string]uint64 // queries by type
	Rcodes  map[string]uint64 // by what they were answered, or would have been
	Ignored uint64            // messages that nobody should answer
	Dropped uint64            // responses, by the rate limit
	Slipped uint64            // responses that it has cut to a truncated header
}

func newCounts() Counts {
	return Counts{Types: make(map[string]uint64), Rcodes: make(map[string]uint64)}
}

func (c *Counts) add(more *Counts) {
	for name, n := range more.Types {
		c.Types[name] += n
	}
	for name, n := range more.Rcodes {
		c.Rcodes[name] += n
	}
	c.Ignored += more.Ignored
	c.Dropped += more.Dropped
	c.Slipped += more.Slipped
}

// typeIndex finds a type among the counted ones.
var typeIndex = func() (index [258]uint8) {
	for i := range index {
		index[i] = uint8(len(countedTypes))
	}
	for i, t := range countedTypes {
		index[t] = uint8(i)
	}
	return index
}()

var rcodeIndex = func() (index [24]uint8) {
	for i := range index {
		index[i] = uint8(len(countedRcodes))
	}
	for i, r := range countedRcodes {
		index[r] = uint8(i)
	}
	return index
}()

// count counts a query with a question, or none, and what became of it.
func (c *Counters) count(q *Query, rcode Rcode) {
	at := len(countedTypes)
	if int(q.Type) < len(typeIndex) {
		at = int(typeIndex[q.Type])
	}
	c.types[at].add()
	at = len(countedRcodes)
	if int(rcode) < len(rcodeIndex) {
		at = int(rcodeIndex[rcode])
	}
	c.rcodes[at].add()
}

// addTo adds what it has counted to sums.
func (c *Counters) addTo(sum *Counts) {
	for i := range c.types {
		name := other
		if i < len(countedTypes) {
			name = string(AppendType(nil, countedTypes[i]))
		}
		sum.Types[name] += c.types[i].n.Load()
	}
	for i := range c.rcodes {
		name := other
		if i < len(countedRcodes) {
			name = countedRcodes[i].String()
		}
		sum.Rcodes[name] += c.rcodes[i].n.Load()
	}
	sum.Ignored += c.ignored.n.Load()
	sum.Dropped += c.dropped.n.Load()
	sum.Slipped += c.slipped.n.Load()
}
