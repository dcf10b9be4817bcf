package syslog

import "bytes"

// isIPv6 reports whether text is an IPv6 address, with or without a zone, by the rules of
// netip.ParseAddr, which allocates memory for errors.
func isIPv6(text []byte) bool {
	if i := bytes.IndexByte(text, '%'); i >= 0 {
		if i+1 == len(text) {
			return false
		}
		text = text[:i]
	}
	groups, shortened := 0, false
	if hasPrefix(text, "::") {
		shortened = true
		text = text[2:]
	} else if len(text) == 0 {
		return false
	}
	for len(text) > 0 {
		n := hexDigits(text)
		if n < len(text) && text[n] == '.' {
			groups += 2
			return isIPv4(text) && (groups == 8 && !shortened || groups < 8 && shortened)
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		text = text[n:]
		if len(text) == 0 {
			break
		}
		if len(text) == 1 || text[0] != ':' {
			return false
		}
		text = text[1:]
		if text[0] == ':' {
			if shortened {
				return false
			}
			shortened = true
			text = text[1:]
		}
	}
	return groups == 8 && !shortened || groups < 8 && shortened
}

// isIPv4 reports whether text is four numbers to 255 without leading zeros.
func isIPv4(text []byte) bool {
	for part := 0; ; part++ {
		n, value := 0, 0
		for n < len(text) && isDigit(text[n]) && n < 4 {
			value = value*10 + int(text[n]-'0')
			n++
		}
		if n == 0 || value > 255 || n > 1 && text[0] == '0' {
			return false
		}
		text = text[n:]
		if part == 3 {
			return len(text) == 0
		}
		if len(text) == 0 || text[0] != '.' {
			return false
		}
		text = text[1:]
	}
}

func hexDigits(text []byte) int {
	n := 0
	for n < len(text) && (isDigit(text[n]) || text[n]|0x20-'a' <= 'f'-'a') {
		n++
	}
	return n
}
