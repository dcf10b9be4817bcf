package rdata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func parseKeys(dst []byte, value string) ([]byte, error) {
	var keys []uint16
	for name := range strings.SplitSeq(value, ",") {
		key, _, err := parseKey(name)
		if err != nil {
			return dst, fmt.Errorf("%.80q: %w", name, err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		dst = appendUint(dst, uint64(key), 2)
	}
	return dst, nil
}

func checkKeys(value []byte) error {
	if len(value) == 0 || len(value)%2 != 0 {
		return errors.New("not one or more keys of two octets (RFC 9460 section 8)")
	}
	for last := keyMandatory; len(value) > 0; value = value[2:] {
		key := int(binary.BigEndian.Uint16(value))
		if key <= last {
			return errors.New("keys twice or out of order, or mandatory itself (RFC 9460 section 8)")
		}
		last = key
	}
	return nil
}

func keysText(dst, value []byte) []byte {
	for i := 0; i < len(value); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendKey(dst, binary.BigEndian.Uint16(value[i:]))
	}
	return dst
}

// parseProtocols reads a list with commas, in which a backslash stands before a comma or a backslash
// of a protocol (RFC 9460 appendix A.1). The value's own escapes are decoded before.
func parseProtocols(dst []byte, value string) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0)
	for i := 0; i <= len(value); i++ {
		if i == len(value) || value[i] == ',' {
			n := len(dst) - start - 1
			if n > 255 {
				return dst, errors.New("a protocol of more than 255 octets")
			}
			dst[start] = byte(n)
			start = len(dst)
			if i < len(value) {
				dst = append(dst, 0)
			}
			continue
		}
		if value[i] == '\\' {
			if i++; i == len(value) || value[i] != ',' && value[i] != '\\' {
				return dst, errors.New("a backslash stands before no comma and no backslash (RFC 9460 appendix A.1)")
			}
		}
		dst = append(dst, value[i])
	}
	return dst, nil
}

func checkALPN(value []byte) error {
	if len(value) == 0 {
		return errEmpty
	}
	for len(value) > 0 {
		n, err := checkCounted(value)
		if err != nil {
			return err
		}
		if n == 1 {
			return errors.New("an empty protocol (RFC 9460 section 7.1.1)")
		}
		value = value[n:]
	}
	return nil
}

func alpnText(dst, value []byte) []byte {
	var list []byte
	for len(value) > 0 {
		protocol := value[1:][:value[0]]
		value = value[1+len(protocol):]
		for _, c := range protocol {
			if c == ',' || c == '\\' {
				list = append(list, '\\')
			}
			list = append(list, c)
		}
		if len(value) > 0 {
			list = append(list, ',')
		}
	}
	return appendQuoted(dst, list)
}

func checkNoValue(value []byte) error {
	if len(value) > 0 {
		return errors.New("the parameter has no value")
	}
	return nil
}

// checkSize checks that a value is one or more times size octets, at most limit.
func checkSize(size, limit int) func(value []byte) error {
	return func(value []byte) error {
		if len(value) == 0 || len(value)%size != 0 || len(value) > limit {
			return fmt.Errorf("a value of %d octets", len(value))
		}
		return nil
	}
}

func parsePort(dst []byte, value string) ([]byte, error) {
	port, err := parseNumber(value, 65535)
	return appendUint(dst, port, 2), err
}

func parseHints(parse func(dst []byte, address string) ([]byte, error)) func(dst []byte, value string) ([]byte, error) {
	return func(dst []byte, value string) ([]byte, error) {
		var err error
		for address := range strings.SplitSeq(value, ",") {
			if dst, err = parse(dst, address); err != nil {
				return dst, fmt.Errorf("%.80q: %w", address, err)
			}
		}
		return dst, nil
	}
}

func hintsText(size int) func(dst, value []byte) []byte {
	return func(dst, value []byte) []byte {
		for i := 0; i < len(value); i += size {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendAddress(dst, value[i:i+size])
		}
		return dst
	}
}

func opaque(dst []byte, value string) ([]byte, error) { return append(dst, value...), nil }

// checkPath checks a template for the path of DNS over HTTPS: relative, with the variable dns (RFC
// 9461 section 5).
func checkPath(value []byte) error {
	if !utf8.Valid(value) || !bytes.HasPrefix(value, []byte("/")) {
		return errors.New("not a path that begins with / (RFC 9461 section 5)")
	}
	for rest := value; ; {
		_, after, found := bytes.Cut(rest, []byte("{"))
		if !found {
			return errors.New("no variable dns, as in {?dns} (RFC 9461 section 5)")
		}
		expression, after, _ := bytes.Cut(after, []byte("}"))
		for variable := range bytes.SplitSeq(bytes.TrimLeft(expression, "+#./;?&"), []byte(",")) {
			if string(variable) == "dns" {
				return nil
			}
		}
		rest = after
	}
}
