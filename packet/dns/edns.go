package dns

import "encoding/binary"

// MaxNSID is the largest length in octets of Options.NSID: an error with the longest name, a cookie
// and the NSID fits into minUDPSize.
const MaxNSID = 128

const (
	// MaxUDPSize is the largest reply over UDP in octets, and the size in the OPT records of
	// replies: 1280, the smallest MTU of IPv6, less the headers of IPv6 and UDP (DNS Flag Day
	// 2020). Larger replies are fragmented, and may be lost.
	MaxUDPSize = 1232
	// maxTCPSize is the largest reply over TCP: two octets before a message hold its length (RFC
	// 1035 section 4.2.2).
	maxTCPSize = 65535

	minUDPSize = 512 // octets that every client accepts (RFC 1035 section 4.2.1, RFC 6891 section 6.2.5)

	optSize      = 11 // octets, without options
	maxCookie    = 40 // octets: the client's 8 and the server's 32 (RFC 7873 section 4)
	flagDO       = 1 << 15
	optionSubnet = 8  // RFC 7871
	optionNSID   = 3  // RFC 5001
	optionCookie = 10 // RFC 7873
	optionError  = 15 // RFC 8914

	notAuthoritative = 20 // RFC 8914 section 4.21
)

// readOPT reads the fixed part and the options of the OPT record, and reports whether the options
// fit into the record. Unknown options are skipped.
func (q *query) readOPT(fixed, options []byte) bool {
	q.edns = true
	q.size = binary.BigEndian.Uint16(fixed[2:])
	q.version = fixed[5]
	q.do = binary.BigEndian.Uint16(fixed[6:])&flagDO != 0
	for len(options) > 0 {
		if len(options) < 4 {
			return false
		}
		code, n := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if len(options) < 4+n {
			return false
		}
		switch {
		case code == optionCookie && q.cookie == nil:
			q.cookie = options[4 : 4+n : 4+n]
		case code == optionSubnet && q.subnet == nil:
			q.subnet = options[4 : 4+n : 4+n]
		case code == optionNSID && q.version == 0: // options of another version have no known meaning
			q.nsid = q.serverNSID
		}
		options = options[4+n:]
	}
	return true
}

// sizeLimit returns the largest size of the reply in octets.
func (q *query) sizeLimit(maxSize int) int {
	if maxSize >= maxTCPSize {
		return maxTCPSize
	}
	return min(maxSize, max(int(q.size), minUDPSize))
}

// optLength returns the size of the reply's OPT record in octets.
func (q *query) optLength(cookie []byte, extended bool) int {
	if !q.edns {
		return 0
	}
	n := optSize
	if cookie != nil {
		n += 4 + len(cookie)
	}
	if len(q.nsid) > 0 {
		n += 4 + len(q.nsid)
	}
	if extended {
		n += 6
	}
	return n
}

// appendOPT appends the reply's OPT record, if the query has an OPT record. DO is copied (RFC 3225
// section 3). extended adds the extended error Not Authoritative.
func (q *query) appendOPT(dst []byte, rcode responseCode, cookie []byte, extended bool) []byte {
	if !q.edns {
		return dst
	}
	var flags byte
	if q.do {
		flags = flagDO >> 8
	}
	length := q.optLength(cookie, extended) - optSize
	dst = append(dst, 0, 0, typeOPT, MaxUDPSize>>8, MaxUDPSize&0xff, byte(rcode>>4), 0, flags, 0, byte(length>>8), byte(length))
	if cookie != nil {
		dst = append(dst, 0, optionCookie, byte(len(cookie)>>8), byte(len(cookie)))
		dst = append(dst, cookie...)
	}
	if len(q.nsid) > 0 {
		dst = append(dst, 0, optionNSID, 0, byte(len(q.nsid)))
		dst = append(dst, q.nsid...)
	}
	if extended {
		dst = append(dst, 0, optionError, 0, 2, 0, notAuthoritative)
	}
	return dst
}
