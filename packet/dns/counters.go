package dns

import "sync/atomic"

// countedTypes are the types that are counted by name: those that are asked
// for. All others are counted together, so that nobody can make names.
var countedTypes = [...]uint16{
	1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 46, 48, 52, 64, 65, 251, 252, 255, 257,
}

// countedRcodes are those that a server of static zones gives.
var countedRcodes = [...]responseCode{rcodeNoError, rcodeFormErr, rcodeNXDomain, rcodeNotImp, rcodeRefused, rcodeYXDomain, rcodeNotAuth, rcodeBadVers, rcodeBadCookie}

// other is the name of all that has none.
const otherName = "other"

// What is counted where: types and rcodes in the order of the lists above, each
// with other at its end, and the rest.
const (
	firstRcode      = len(countedTypes) + 1
	ignoredIndex    = firstRcode + len(countedRcodes) + 1
	droppedIndex    = ignoredIndex + 1
	slippedIndex    = ignoredIndex + 2
	firstConnection = ignoredIndex + 3
)

// Connection is what becomes of a connection over which queries come.
type Connection int

const (
	ConnectionAccepted    Connection = iota // it is served
	ConnectionNotAdmitted                   // its client may not ask, or not so often
	ConnectionRefused                       // there was no room for it
	ConnectionEvicted                       // it was served, and made room for another one
	numConnections
)

var connectionNames = [numConnections]string{"accepted", "not_admitted", "refused", "evicted"}

// NumCounters is how many counters each writer has: see Options.NumCounters.
const NumCounters = firstConnection + int(numConnections)

// counters are what one thread counts, or all streams.
type counters struct {
	n      []atomic.Uint64 // NumCounters of them
	shared bool            // there is more than one writer
}

func (c *counters) increment(at int) {
	if c.shared {
		c.n[at].Add(1)
	} else {
		c.n[at].Store(c.n[at].Load() + 1) // no locked instruction
	}
}

// Counts are sums of counters, by names of which there are few.
type Counts struct {
	Types   map[string]uint64 // queries by type
	Rcodes  map[string]uint64 // responses that were sent, by rcode: queries less Dropped
	Ignored uint64            // messages that nobody should answer
	Dropped uint64            // responses that the rate limit has withheld
	Slipped uint64            // responses above it that were sent, without records

	Connections map[string]uint64 // by what became of them: see Server.CountConnection
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

// asked counts a query with a question, or none.
func (c *counters) countQuery(q *query) {
	at := len(countedTypes)
	if int(q.rtype) < len(typeIndex) {
		at = int(typeIndex[q.rtype])
	}
	c.increment(at)
}

// sent counts a response. What the rate limit withholds is none.
func (c *counters) countResponse(rcode responseCode) {
	at := len(countedRcodes)
	if int(rcode) < len(rcodeIndex) {
		at = int(rcodeIndex[rcode])
	}
	c.increment(firstRcode + at)
}

// addTo adds what was counted to sums.
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
