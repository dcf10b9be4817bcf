package dnsrecord

import "strconv"

var rcodeNames = [...]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
	7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS",
	17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC",
	23: "BADCOOKIE",
}

var opcodeNames = [...]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

var classNames = [...]string{1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

// AppendRcode appends the mnemonic, as NXDOMAIN, or RCODE and a number.
func AppendRcode(dst []byte, rcode uint16) []byte {
	return appendKnown(dst, rcodeNames[:], "RCODE", rcode)
}

// AppendOpcode appends the mnemonic, as NOTIFY, or OPCODE and a number.
func AppendOpcode(dst []byte, opcode int) []byte {
	return appendKnown(dst, opcodeNames[:], "OPCODE", uint16(opcode))
}

// AppendClass appends the mnemonic, as IN, or CLASS and a number (RFC 3597 section 5).
func AppendClass(dst []byte, class uint16) []byte {
	return appendKnown(dst, classNames[:], "CLASS", class)
}

func appendKnown(dst []byte, names []string, prefix string, n uint16) []byte {
	if int(n) < len(names) && names[n] != "" {
		return append(dst, names[n]...)
	}
	dst = append(dst, prefix...)
	return strconv.AppendUint(dst, uint64(n), 10)
}
