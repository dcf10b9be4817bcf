package dns

import (
	"github.com/udpshard/udpshard/internal/dnsrecord"
	"github.com/udpshard/udpshard/internal/rdata"
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
	typeRRSIG = 46
	typeNSEC  = 47
	typeNSEC3 = 50
	typeSVCB  = 64
	typeHTTPS = 65
	typeIXFR  = 251
	typeAXFR  = 252
	typeANY   = 255

	classIN  = 1
	classANY = 255
)

// String returns the mnemonic, as NXDOMAIN, or RCODE and a number.
func (r responseCode) String() string { return string(dnsrecord.AppendRcode(nil, uint16(r))) }

func appendType(dst []byte, t uint16) []byte { return rdata.AppendType(dst, t) }
