package dns

import "sync/atomic"

// countedTypes are the types that are counted by name. All other types are counted together, so
// that clients cannot create names.
var countedTypes = [...]uint16{
	1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 46, 48, 52, 64, 65, 251, 252, 255, 257,
}

// countedRcodes are the rcodes of a server of static zones.
var countedRcodes = [...]responseCode{rcodeNoError, rcodeFormErr, rcodeNXDomain, rcodeNotImp, rcodeRefused, rcodeYXDomain, rcodeNotAuth, rcodeBadVers, rcodeBadCookie}

// otherName is the name of all other types and rcodes.
const otherName = "other"

// Indexes of counters. First are the types and the rcodes in the order of the lists above, each
// with otherName at the end.
const (
	firstRcode      = len(countedTypes) + 1
	ignoredIndex    = firstRcode + len(countedRcodes) + 1
	droppedIndex    = ignoredIndex + 1
	slippedIndex    = ignoredIndex + 2
	firstConnection = ignoredIndex + 3
)

// Connection is the outcome of a connection to the streams.
type Connection int

const (
	ConnectionAccepted    Connection = iota // served
	ConnectionNotAdmitted                   // refused by the admission policy
	ConnectionRefused                       // no room
	ConnectionEvicted                       // served, then closed to make room for a new connection
	numConnections
)

var connectionNames = [numConnections]string{"accepted", "not_admitted", "refused", "evicted"}

// NumCounters is the number of counters of each writer: see Options.Counters.
const NumCounters = firstConnection + int(numConnections)

// counters are the counters of one thread, or of all streams.
type counters struct {
	n      []atomic.Uint64 // NumCounters of them
	shared bool            // several writers
}

func (c *counters) increment(at int) {
	if c.shared {
		c.n[at].Add(1)
	} else {
		c.n[at].Store(c.n[at].Load() + 1) // no locked instruction
	}
}

// Counts are sums of counters. The number of names is bounded.
type Counts struct {
	Types   map[string]uint64 // queries by type
	Rcodes  map[string]uint64 // responses sent, by rcode: queries less Dropped
	Ignored uint64            // messages without a reply: no query, or a forged source
	Dropped uint64            // responses dropped by the rate limit
	Slipped uint64            // responses above the rate limit that were sent without records

	Connections map[string]uint64 // by outcome: see Server.CountConnection
}

// typeIndex is the index of a type in countedTypes.
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

// countQuery counts a query by type.
func (c *counters) countQuery(q *query) {
	at := len(countedTypes)
	if int(q.rtype) < len(typeIndex) {
		at = int(typeIndex[q.rtype])
	}
	c.increment(at)
}

// countResponse counts a response that was sent.
func (c *counters) countResponse(rcode responseCode) {
	at := len(countedRcodes)
	if int(rcode) < len(rcodeIndex) {
		at = int(rcodeIndex[rcode])
	}
	c.increment(firstRcode + at)
}

// addTo adds the counters to sum.
func (c *counters) addTo(sum *Counts) {
	for i := range len(countedTypes) + 1 {
		name := otherName
		if i < len(countedTypes) {
			name = string(appendType(nil, countedTypes[i]))
		}
		sum.Types[name] += c.n[i].Load()
	}
	for i := range len(countedRcodes) + 1 {
		name := otherName
		if i < len(countedRcodes) {
			name = countedRcodes[i].String()
		}
		sum.Rcodes[name] += c.n[firstRcode+i].Load()
	}
	sum.Ignored += c.n[ignoredIndex].Load()
	sum.Dropped += c.n[droppedIndex].Load()
	sum.Slipped += c.n[slippedIndex].Load()
	for i, name := range connectionNames {
		sum.Connections[name] += c.n[firstConnection+i].Load()
	}
}
