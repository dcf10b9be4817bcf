package dns

import (
	"strconv"

	"github.com/miekg/dns"
)

// Rcode is a response code: 4 bits of the header and, above them, 8 of the
// OPT record (RFC 6891 section 6.1.3).
type Rcode uint16

// The response codes that are given here (IANA, DNS RCODEs).
const (
	NoError   Rcode = 0
	FormErr   Rcode = 1
	ServFail  Rcode = 2
	NXDomain  Rcode = 3
	NotImp    Rcode = 4
	Refused   Rcode = 5
	YXDomain  Rcode = 6
	NotAuth   Rcode = 9
	BadVers   Rcode = 16
	BadCookie Rcode = 23
)

// Types and classes that decide how a query is answered (IANA, DNS Parameters).
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
	NoError: "NOERROR", FormErr: "FORMERR", ServFail: "SERVFAIL", NXDomain: "NXDOMAIN", NotImp: "NOTIMP", Refused: "REFUSED",
	YXDomain: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", NotAuth: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
	BadVers: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", BadCookie: "BADCOOKIE",
}

var opcodeNames = [...]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

var classNames = [...]string{1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

// String returns the mnemonic, as NXDOMAIN, or RCODE and a number.
func (r Rcode) String() string {
	if int(r) < len(rcodeNames) && rcodeNames[r] != "" {
		return rcodeNames[r]
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// AppendRcode appends what String returns.
func AppendRcode(dst []byte, r Rcode) []byte {
	return appendKnown(dst, rcodeNames[:], "RCODE", uint16(r))
}

// AppendOpcode appends the mnemonic, as NOTIFY, or OPCODE and a number.
func AppendOpcode(dst []byte, opcode int) []byte {
	return appendKnown(dst, opcodeNames[:], "OPCODE", uint16(opcode))
}

// AppendClass appends the mnemonic, as IN, or CLASS and a number (RFC 3597 section 5).
func AppendClass(dst []byte, class uint16) []byte {
	return appendKnown(dst, classNames[:], "CLASS", class)
}

// AppendType appends the mnemonic, as AAAA, or TYPE and a number (RFC 3597 section 5).
func AppendType(dst []byte, t uint16) []byte {
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
