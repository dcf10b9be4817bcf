package dns

// layout describes the data of a type: skip octets, then names, then rest octets.
type layout struct {
	skip, names, rest int
	compress          bool // names may be compressed: in types of RFC 1035 only (RFC 3597 section 4)
	any               bool // any number of octets, without names
}

var layouts = [...]layout{
	0:         {any: true}, // all types without an entry here
	typeA:     {rest: 4},
	typeNS:    {names: 1, compress: true},
	3:         {names: 1, compress: true}, // MD
	4:         {names: 1, compress: true}, // MF
	typeCNAME: {names: 1, compress: true},
	typeSOA:   {names: 2, rest: 20, compress: true},
	7:         {names: 1, compress: true}, // MB
	8:         {names: 1, compress: true}, // MG
	9:         {names: 1, compress: true}, // MR
	12:        {names: 1, compress: true}, // PTR
	14:        {names: 2, compress: true}, // MINFO
	typeMX:    {skip: 2, names: 1, compress: true},
	17:        {names: 2},          // RP
	18:        {skip: 2, names: 1}, // AFSDB
	21:        {skip: 2, names: 1}, // RT
	26:        {skip: 2, names: 2}, // PX
	typeAAAA:  {rest: 16},
	typeSRV:   {skip: 6, names: 1},
	36:        {skip: 2, names: 1}, // KX
	typeDNAME: {names: 1},
}

func layoutOf(rtype uint16) *layout {
	if int(rtype) < len(layouts) && layouts[rtype] != (layout{}) {
		return &layouts[rtype]
	}
	return &layouts[0]
}

// canonicalData returns data with its names in lower case, for comparison.
func canonicalData(rtype uint16, data string) string {
	layout := layoutOf(rtype)
	end := layout.skip
	for range layout.names {
		end += nameLength(data[end:])
	}
	return data[:layout.skip] + lowerName(data[layout.skip:end]) + data[end:]
}

// nameLength returns the length in octets of the name at the start of s, in wire form.
func nameLength(s string) int {
	n := 0
	for s[n] != 0 {
		n += 1 + int(s[n])
	}
	return n + 1
}

// isOwnService reports whether a SVCB or HTTPS record is for a service at the owner's own name: the
// target is the root, and the priority is not 0 (RFC 9460 section 2.5).
func isOwnService(data string) bool {
	return data[:2] != "\x00\x00" && data[2] == 0
}

// targetName returns the name that a record points to, in lower case.
func targetName(rtype uint16, data string) string {
	skip := layoutOf(rtype).skip
	if rtype == typeSVCB || rtype == typeHTTPS {
		skip = 2 // the priority (RFC 9460 section 2.2); parameters followAlias the name
	}
	rest := data[skip:]
	return lowerName(rest[:nameLength(rest)])
}
