package dns

import (
	"strconv"

	"github.com/miekg/dns"
)

// responseCode is an rcode: 4 bits of the header and, above them, 8 bits of the OPT record (RFC
// 6891 section 6.1.3).
type responseCode uint16

// The response codes of replies (IANA, DNS RCODEs).
const (
	rcodeNoError   responseCode = 0
	rcodeFormErr   responseCode = 1
	rcodeServFail  responseCode = 2
	rcodeNXDomain  responseCode = 3
	rcodeNotImp    responseCode = 4
	rcodeRefused   responseCode = 5
	rcodeYXDomain  responseCode = 6
	rcodeNotAuth   responseCode = 9
	rcodeBadVers   responseCode = 16
	rcodeBadCookie responseCode = 23
)

// Types and classes with a meaning for answers (IANA, DNS Parameters).
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeMX    = 15
	typeAAAA  = 28
	typeSRV   = 33
	typeDNAME = 39
	typeOPT   = 41
	typeDS    = 43
	typeSVCB  = 64
	typeHTTPS = 65
	typeIXFR  = 251
	typeAXFR  = 252
	typeANY   = 255

	classIN  = 1
	classANY = 255
)

var rcodeNames = [...]string{
	rcodeNoError: "NOERROR", rcodeFormErr: "FORMERR", rcodeServFail: "SERVFAIL", rcodeNXDomain: "NXDOMAIN", rcodeNotImp: "NOTIMP", rcodeRefused: "REFUSED",
	rcodeYXDomain: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", rcodeNotAuth: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
	rcodeBadVers: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", rcodeBadCookie: "BADCOOKIE",
}

var opcodeNames = [...]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

var classNames = [...]string{1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

// String returns the mnemonic, as NXDOMAIN, or RCODE and a number.
func (r responseCode) String() string {
	if int(r) < len(rcodeNames) && rcodeNames[r] != "" {
		return rcodeNames[r]
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// appendRcode appends the text that String returns.
func appendRcode(dst []byte, r responseCode) []byte {
	return appendKnown(dst, rcodeNames[:], "RCODE", uint16(r))
}

// appendOpcode appends the mnemonic, as NOTIFY, or OPCODE and a number.
func appendOpcode(dst []byte, opcode int) []byte {
	return appendKnown(dst, opcodeNames[:], "OPCODE", uint16(opcode))
}

// appendClass appends the mnemonic, as IN, or CLASS and a number (RFC 3597 section 5).
func appendClass(dst []byte, class uint16) []byte {
	return appendKnown(dst, classNames[:], "CLASS", class)
}

// appendType appends the mnemonic, as AAAA, or TYPE and a number (RFC 3597 section 5).
func appendType(dst []byte, t uint16) []byte {
	if name, ok := dns.TypeToString[t]; ok && t != dns.TypeNone && t != dns.TypeReserved {
		return append(dst, name...)
	}
	return appendKnown(dst, nil, "TYPE", t)
}

func appendKnown(dst []byte, names []string, prefix string, n uint16) []byte {
	if int(n) < len(names) && names[n] != "" {
		return append(dst, names[n]...)
	}
	dst = append(dst, prefix...)
	return strconv.AppendUint(dst, uint64(n), 10)
}
