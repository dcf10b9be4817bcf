package rdata

import (
	"errors"
	"fmt"
	"strconv"
)

// field is a field of a type's data.
type field struct {
	name string
	kind
}

// rtype is a type of records. A type without fields has any data, and no text form of its own.
type rtype struct {
	number uint16
	name   string
	source string // the document with the form of the data
	fields []field
	rule   func(data []byte) error // what the fields do not say, of data with right fields; nil: nothing
}

// types are the types that have a name (IANA, Resource Record TYPEs).
var types = []rtype{
	{1, "A", "RFC 1035 3.4.1", []field{{"address", ipv4}}, nil},
	{2, "NS", "RFC 1035 3.3.11", []field{{"host", domain}}, nil},
	{3, "MD", "RFC 1035 3.3.4", []field{{"host", domain}}, nil},
	{4, "MF", "RFC 1035 3.3.5", []field{{"host", domain}}, nil},
	{5, "CNAME", "RFC 1035 3.3.1", []field{{"target", domain}}, nil},
	{6, "SOA", "RFC 1035 3.3.13", []field{
		{"primary server", domain}, {"mailbox", domain}, {"serial", u32}, {"refresh", seconds}, {"retry", seconds}, {"expire", seconds}, {"minimum", seconds},
	}, nil},
	{7, "MB", "RFC 1035 3.3.3", []field{{"host", domain}}, nil},
	{8, "MG", "RFC 1035 3.3.6", []field{{"mailbox", domain}}, nil},
	{9, "MR", "RFC 1035 3.3.8", []field{{"mailbox", domain}}, nil},
	{10, "NULL", "RFC 1035 3.3.10", nil, nil},
	{11, "WKS", "RFC 1035 3.4.2", []field{{"address", ipv4}, {"services", services}}, nil},
	{12, "PTR", "RFC 1035 3.3.12", []field{{"target", domain}}, nil},
	{13, "HINFO", "RFC 1035 3.3.2", []field{{"CPU", characterString}, {"system", characterString}}, nil},
	{14, "MINFO", "RFC 1035 3.3.7", []field{{"mailbox", domain}, {"mailbox of errors", domain}}, nil},
	{15, "MX", "RFC 1035 3.3.9", []field{{"preference", u16}, {"host", domain}}, nil},
	{16, "TXT", "RFC 1035 3.3.14", []field{{"text", list(splitString, 1, many)}}, nil},
	{17, "RP", "RFC 1183 2.2", []field{{"mailbox", domain}, {"name of texts", domain}}, nil},
	{18, "AFSDB", "RFC 1183 1", []field{{"subtype", u16}, {"host", domain}}, nil},
	{19, "X25", "RFC 1183 3.1", []field{{"address", psdnAddress}}, nil},
	{20, "ISDN", "RFC 1183 3.2", []field{{"address", characterString}, {"subaddress", list(characterString, 0, 1)}}, nil},
	{21, "RT", "RFC 1183 3.3", []field{{"preference", u16}, {"host", domain}}, nil},
	{22, "NSAP", "RFC 1706 5", []field{{"address", nsap}}, nil},
	{23, "NSAP-PTR", "RFC 1348 3.2", []field{{"target", domain}}, nil},
	{24, "SIG", "RFC 2535 4.1", signature, nil},
	{25, "KEY", "RFC 2535 3.1", []field{{"flags", keyFlags}, {"protocol", keyProtocol}, {"algorithm", algorithm}, {"key", base64Octets(0)}}, keyOrNone},
	{26, "PX", "RFC 2163 4", []field{{"preference", u16}, {"RFC 822 domain", domain}, {"X.400 domain", domain}}, nil},
	{27, "GPOS", "RFC 1712 3", []field{{"longitude", characterString}, {"latitude", characterString}, {"altitude", characterString}}, nil},
	{28, "AAAA", "RFC 3596 2.2", []field{{"address", ipv6}}, nil},
	{29, "LOC", "RFC 1876 2", []field{{"location", location}}, nil},
	{30, "NXT", "RFC 2535 5.2", []field{{"next name", domain}, {"types", oldBitmap}}, nil},
	{31, "EID", "draft-lewis-dns-undocumented-types", []field{{"identifier", hexadecimal(1)}}, nil},
	{32, "NIMLOC", "draft-lewis-dns-undocumented-types", []field{{"locator", hexadecimal(1)}}, nil},
	{33, "SRV", "RFC 2782", []field{{"priority", u16}, {"weight", u16}, {"port", u16}, {"target", domain}}, nil},
	{34, "ATMA", "ATM Forum af-dans-0152.000", []field{{"address", atma}}, nil},
	{35, "NAPTR", "RFC 3403 4.1", []field{
		{"order", u16}, {"preference", u16}, {"flags", characterString}, {"services", characterString}, {"regexp", expression}, {"replacement", domain},
	}, nil},
	{36, "KX", "RFC 2230 3.1", []field{{"preference", u16}, {"host", domain}}, nil},
	{37, "CERT", "RFC 4398 2", []field{{"type", certificateType}, {"key tag", u16}, {"algorithm", algorithm}, {"certificate", base64Octets(1)}}, nil},
	{38, "A6", "RFC 2874 3.1", []field{{"prefixed address", prefixed}}, nil},
	{39, "DNAME", "RFC 6672 2.1", []field{{"target", domain}}, nil},
	{40, "SINK", "draft-eastlake-kitchen-sink", []field{{"meaning", u8}, {"coding", u8}, {"subcoding", u8}, {"data", base64Octets(0)}}, nil},
	{41, "OPT", "RFC 6891", nil, nil},
	{42, "APL", "RFC 3123 4", []field{{"prefixes", addressPrefixes}}, nil},
	{43, "DS", "RFC 4034 5.1", delegation, delegationDigest},
	{44, "SSHFP", "RFC 4255 3.1", []field{{"algorithm", u8}, {"fingerprint type", u8}, {"fingerprint", hexadecimal(1)}}, fingerprint},
	{45, "IPSECKEY", "RFC 4025 2.1", []field{{"precedence", u8}, {"gateway", gateway}, {"key", base64Octets(0)}}, gatewayKey},
	{46, "RRSIG", "RFC 4034 3.1", signature, nil},
	{47, "NSEC", "RFC 4034 4.1", []field{{"next name", domain}, {"types", typeBitmap(1)}}, nil},
	{48, "DNSKEY", "RFC 4034 2.1", publicKey, nil},
	{49, "DHCID", "RFC 4701 3.1", []field{{"identifier", base64Octets(3)}}, nil},
	{50, "NSEC3", "RFC 5155 3.2", []field{{"hash algorithm", u8}, {"flags", u8}, {"iterations", u16}, {"salt", salt}, {"next hash", hash}, {"types", typeBitmap(0)}}, nextHash},
	{51, "NSEC3PARAM", "RFC 5155 4.2", []field{{"hash algorithm", u8}, {"flags", u8}, {"iterations", u16}, {"salt", salt}}, nil},
	{52, "TLSA", "RFC 6698 2.1", certificateAssociation, nil},
	{53, "SMIMEA", "RFC 8162 2", certificateAssociation, nil},
	{55, "HIP", "RFC 8005 5", []field{{"identity", hostIdentity}, {"rendezvous servers", list(domain, 0, many)}}, nil},
	{56, "NINFO", "draft-reid-dnsext-zs", []field{{"text", list(characterString, 1, many)}}, nil},
	{57, "RKEY", "draft-reid-dnsext-rkey", []field{{"flags", u16}, {"protocol", u8}, {"algorithm", algorithm}, {"key", base64Octets(1)}}, noFlags},
	{58, "TALINK", "draft-wijngaards-dnsop-trust-history", []field{{"previous", domain}, {"next", domain}}, nil},
	{59, "CDS", "RFC 7344 3.1, RFC 8078 4", delegation, delegationDigest},
	{60, "CDNSKEY", "RFC 7344 3.2, RFC 8078 4", publicKey, nil},
	{61, "OPENPGPKEY", "RFC 7929 2.1", []field{{"key", base64Octets(1)}}, nil},
	{62, "CSYNC", "RFC 7477 2.1", []field{{"serial", u32}, {"flags", u16}, {"types", typeBitmap(0)}}, nil},
	{63, "ZONEMD", "RFC 8976 2.2", []field{{"serial", u32}, {"scheme", u8}, {"hash algorithm", u8}, {"digest", hexadecimal(12)}}, zoneDigest},
	{64, "SVCB", "RFC 9460 2.2", service, nil},
	{65, "HTTPS", "RFC 9460 9", service, nil},
	{66, "DSYNC", "RFC 9859 2.1", []field{{"type", coveredType}, {"scheme", scheme}, {"port", u16}, {"target", domain}}, nil},
	{67, "HHIT", "RFC 9886 5.1", []field{{"data", base64Octets(1)}}, nil},
	{68, "BRID", "RFC 9886 5.2", []field{{"data", base64Octets(1)}}, nil},
	{99, "SPF", "RFC 7208 3.1", []field{{"text", list(splitString, 1, many)}}, nil},
	{100, "UINFO", "reserved by IANA", []field{{"text", characterString}}, nil},
	{101, "UID", "reserved by IANA", []field{{"number", u32}}, nil},
	{102, "GID", "reserved by IANA", []field{{"number", u32}}, nil},
	{103, "UNSPEC", "reserved by IANA", nil, nil},
	{104, "NID", "RFC 6742 2.1", []field{{"preference", u16}, {"node", locator}}, nil},
	{105, "L32", "RFC 6742 2.2", []field{{"preference", u16}, {"locator", ipv4}}, nil},
	{106, "L64", "RFC 6742 2.3", []field{{"preference", u16}, {"locator", locator}}, nil},
	{107, "LP", "RFC 6742 2.4", []field{{"preference", u16}, {"name", domain}}, nil},
	{108, "EUI48", "RFC 7043 3.1", []field{{"address", eui48}}, nil},
	{109, "EUI64", "RFC 7043 4.1", []field{{"address", eui64}}, nil},
	{128, "NXNAME", "RFC 9824", nil, nil},
	{249, "TKEY", "RFC 2930", nil, nil},
	{250, "TSIG", "RFC 8945", nil, nil},
	{251, "IXFR", "RFC 1995", nil, nil},
	{252, "AXFR", "RFC 5936", nil, nil},
	{253, "MAILB", "RFC 1035", nil, nil},
	{254, "MAILA", "RFC 1035", nil, nil},
	{255, "ANY", "RFC 1035", nil, nil},
	{256, "URI", "RFC 7553 4.5", []field{{"priority", u16}, {"weight", u16}, {"target", rest}}, nil},
	{257, "CAA", "RFC 8659 4.1", []field{{"flags", u8}, {"tag", tag}, {"value", rest}}, nil},
	{258, "AVC", "IANA template of 2016", []field{{"text", list(characterString, 1, many)}}, nil},
	{259, "DOA", "draft-durand-doa-over-dns", []field{{"enterprise", u32}, {"type", u32}, {"location", u8}, {"media type", characterString}, {"data", object}}, nil},
	{260, "AMTRELAY", "RFC 8777 4.1", []field{{"precedence", u8}, {"relay", relay}}, nil},
	{261, "RESINFO", "RFC 9606 4", []field{{"text", list(characterString, 1, many)}}, nil},
	{262, "WALLET", "IANA template of 2024", []field{{"text", list(characterString, 1, many)}}, nil},
	{263, "CLA", "IANA template of 2024", []field{{"text", list(characterString, 1, many)}}, nil},
	{264, "IPN", "IANA template of 2024", []field{{"number", u64}}, nil},
	{32768, "TA", "IANA template of 2005", delegation, delegationDigest},
	{32769, "DLV", "RFC 4431 2", delegation, delegationDigest},
}

// Fields of several types.
var (
	delegation = []field{{"key tag", u16}, {"algorithm", algorithm}, {"digest type", u8}, {"digest", hexadecimal(1)}}
	publicKey  = []field{{"flags", keyFlags}, {"protocol", keyProtocol}, {"algorithm", algorithm}, {"key", base64Octets(1)}}
	signature  = []field{
		{"type", coveredType}, {"algorithm", algorithm}, {"labels", u8}, {"original TTL", u32}, {"expiration", timestamp}, {"inception", timestamp},
		{"key tag", u16}, {"signer", domain}, {"signature", base64Octets(1)},
	}
	certificateAssociation = []field{{"usage", u8}, {"selector", u8}, {"matching type", u8}, {"certificate", hexadecimal(1)}}
	service                = []field{{"priority", u16}, {"target", domain}, {"parameters", params}}
)

// Lengths of digests by their type, in octets.
var (
	delegationDigests = map[byte]int{1: 20, 2: 32, 3: 32, 4: 48, 5: 32, 6: 32} // RFC 4034, 4509, 5933, 6605, 9558, 9563
	fingerprints      = map[byte]int{1: 20, 2: 32}                             // RFC 4255, 6594
	zoneDigests       = map[byte]int{1: 48, 2: 64}                             // RFC 8976
	ownerHashes       = map[byte]int{1: 20}                                    // RFC 5155
)

func delegationDigest(data []byte) error { return checkLength(data[4:], data[3], delegationDigests) }
func fingerprint(data []byte) error      { return checkLength(data[2:], data[1], fingerprints) }
func zoneDigest(data []byte) error       { return checkLength(data[6:], data[5], zoneDigests) }

// nextHash checks the length of the hash, which is behind the salt.
func nextHash(data []byte) error {
	hash := data[5+int(data[4]):]
	return checkLength(hash[1:1+hash[0]], data[0], ownerHashes)
}

// checkLength checks the length of a digest. Types of digests that are not in lengths have any length.
func checkLength(digest []byte, digestType byte, lengths map[byte]int) error {
	if n, fixed := lengths[digestType]; fixed && len(digest) != n {
		return fmt.Errorf("digest: %d octets, type %d has %d", len(digest), digestType, n)
	}
	return nil
}

// keyOrNone checks that the key is missing only if the flags say so (RFC 2535 section 3.1.2).
func keyOrNone(data []byte) error {
	if noKey := data[0]&0xc0 == 0xc0; noKey != (len(data) == 4) {
		return errors.New("key: missing, or there although the flags say that there is none (RFC 2535 section 3.1.2)")
	}
	return nil
}

// noFlags checks the flags of an RKEY record (draft-reid-dnsext-rkey section 2).
func noFlags(data []byte) error {
	if data[0] != 0 || data[1] != 0 {
		return errors.New("flags: the flags are not 0 (draft-reid-dnsext-rkey section 2)")
	}
	return nil
}

// gatewayKey checks that the key is missing only if the algorithm is 0 (RFC 4025 section 2.4).
func gatewayKey(data []byte) error {
	n, _ := gateway.check(data[1:])
	if 1+n == len(data) && data[2] != 0 {
		return errors.New("key: missing")
	}
	return nil
}

var (
	byNumber = make(map[uint16]*rtype)
	byName   = make(map[string]*rtype)
)

func init() {
	for i := range types {
		t := &types[i]
		byNumber[t.number], byName[t.name] = t, t
	}
}

// Type returns the number of a type from its mnemonic or TYPE and a number (RFC 3597 section 5), in
// upper or lower case.
func Type(name string) (uint16, bool) {
	var upper [16]byte
	if len(name) > len(upper) {
		return 0, false
	}
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	if t := byName[string(upper[:len(name)])]; t != nil {
		return t.number, true
	}
	if len(name) > 4 && string(upper[:4]) == "TYPE" {
		n, err := parseNumber(name[4:], 65535)
		return uint16(n), err == nil
	}
	return 0, false
}

// TypeName returns the mnemonic of a type, or TYPE and the number.
func TypeName(t uint16) string { return string(AppendType(nil, t)) }

// AppendType appends the text that TypeName returns.
func AppendType(dst []byte, t uint16) []byte {
	if known := byNumber[t]; known != nil {
		return append(dst, known.name...)
	}
	return strconv.AppendUint(append(dst, "TYPE"...), uint64(t), 10)
}
