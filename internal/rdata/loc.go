package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	equator     = 1 << 31              // latitude and longitude 0; the unit is 1/1000 second (RFC 1876 section 2)
	degree      = 3600 * 1000          // in that unit
	seaLevel    = 100000 * 100         // cm above altitude 0 in wire (RFC 1876 section 2)
	maxAltitude = 1<<32 - 1 - seaLevel // cm above sea level
	maxSize     = 90000000 * 100       // cm: the digits 9 and 9 (RFC 1876 section 2)
)

// location is all of a LOC record: latitude, longitude, altitude, and the size and precisions, which
// are 1 m, 10,000 m and 10 m if they are missing. Minutes and seconds may be missing, too (RFC 1876
// section 3). Sizes and precisions keep their first digit.
var location = kind{
	parse: func(p *parser) error {
		latitude, err := p.angle(90, "N", "S")
		if err != nil {
			return fmt.Errorf("latitude: %w", err)
		}
		longitude, err := p.angle(180, "E", "W")
		if err != nil {
			return fmt.Errorf("longitude: %w", err)
		}
		altitude, err := p.meters(-seaLevel, maxAltitude)
		if err != nil {
			return fmt.Errorf("altitude: %w", err)
		}
		sizes := [...]byte{0x12, 0x16, 0x13}
		for i := range sizes {
			if len(p.fields) == 0 {
				break
			}
			size, err := p.meters(0, maxSize)
			if err != nil {
				return fmt.Errorf("size or precision: %w", err)
			}
			sizes[i] = packSize(size)
		}
		p.data = append(append(p.data, 0), sizes[:]...)
		for _, n := range [...]uint32{latitude, longitude, uint32(altitude + seaLevel)} {
			p.data = binary.BigEndian.AppendUint32(p.data, n)
		}
		return nil
	},
	check: func(data []byte) (int, error) {
		if len(data) < 16 {
			return 0, errTruncated
		}
		if data[0] != 0 {
			return 0, errors.New("a version that is not 0 (RFC 1876 section 2)")
		}
		for _, size := range data[1:4] {
			if size>>4 > 9 || size&15 > 9 || size>>4 == 0 && size != 0 {
				return 0, errors.New("a size or precision that is not two digits (RFC 1876 section 2)")
			}
		}
		for i, limit := range [...]int64{90 * degree, 180 * degree} {
			n := int64(binary.BigEndian.Uint32(data[4+4*i:])) - equator
			if n < -limit || n > limit {
				return 0, fmt.Errorf("a latitude or longitude above %d degrees", limit/degree)
			}
		}
		return 16, nil
	},
	text: func(dst, data []byte) []byte {
		dst = appendAngle(dst, binary.BigEndian.Uint32(data[4:]), 'N', 'S')
		dst = appendAngle(append(dst, ' '), binary.BigEndian.Uint32(data[8:]), 'E', 'W')
		dst = appendMeters(append(dst, ' '), int64(binary.BigEndian.Uint32(data[12:]))-seaLevel)
		for _, size := range data[1:4] {
			dst = appendMeters(append(dst, ' '), unpackSize(size))
		}
		return dst
	},
}

// angle reads degrees, minutes and seconds up to a word that is positive or negative, in the form of
// RFC 1876 section 2.
func (p *parser) angle(limit uint64, positive, negative string) (uint32, error) {
	angle := int64(0)
	for i, unit := range [...]struct {
		max   uint64
		milli int64
	}{{limit, degree}, {59, 60 * 1000}, {59, 1000}, {}} {
		text, err := p.word()
		if err != nil {
			return 0, err
		}
		switch {
		case i > 0 && (text == positive || text == negative):
			if angle > int64(limit)*degree {
				return 0, fmt.Errorf("above %d degrees", limit)
			}
			if text == negative {
				angle = -angle
			}
			return uint32(equator + angle), nil
		case i == 3:
			return 0, fmt.Errorf("%.80q: not %s or %s", text, positive, negative)
		}
		fraction := int64(0)
		if i == 2 {
			if text, fraction, err = cutDecimals(text, 3); err != nil {
				return 0, err
			}
		}
		n, err := parseNumber(text, unit.max)
		if err != nil {
			return 0, fmt.Errorf("%.80q: %w", text, err)
		}
		angle += int64(n)*unit.milli + fraction
	}
	return 0, errMissing // not reached: the fourth word is the last
}

// cutDecimals splits text at a decimal point. The fraction is of digits decimal digits.
func cutDecimals(text string, digits int) (whole string, fraction int64, err error) {
	whole, decimals, found := strings.Cut(text, ".")
	if !found {
		return whole, 0, nil
	}
	if len(decimals) > digits {
		return "", 0, fmt.Errorf("%.80q: more than %d decimal digits", text, digits)
	}
	n, err := parseNumber((decimals + "000")[:digits], 999)
	if err != nil || decimals == "" {
		return "", 0, fmt.Errorf("%.80q: not a decimal number", text)
	}
	return whole, int64(n), nil
}

// meters returns a length in cm, from low to high. The text is in meters, and may end in m.
func (p *parser) meters(low, high int64) (int64, error) {
	text, err := p.word()
	if err != nil {
		return 0, err
	}
	number, negative := strings.CutPrefix(strings.TrimSuffix(text, "m"), "-")
	whole, cm, err := cutDecimals(number, 2)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(whole, uint64(maxSize))
	if err != nil {
		return 0, fmt.Errorf("%.80q: not meters", text)
	}
	cm += int64(n) * 100
	if negative {
		cm = -cm
	}
	if cm < low || cm > high || negative && low == 0 {
		return 0, fmt.Errorf("%.80q: not from %d to %d meters", text, low/100, high/100)
	}
	return cm, nil
}

// packSize returns a size as two digits: the first decimal digit, and the power of ten in cm.
func packSize(cm int64) byte {
	exponent := byte(0)
	for cm > 9 {
		cm /= 10
		exponent++
	}
	if cm == 0 {
		return 0
	}
	return byte(cm)<<4 | exponent
}

func unpackSize(size byte) int64 {
	cm := int64(size >> 4)
	for range size & 15 {
		cm *= 10
	}
	return cm
}

func appendAngle(dst []byte, n uint32, positive, negative byte) []byte {
	angle, letter := int64(n)-equator, positive
	if angle < 0 {
		angle, letter = -angle, negative
	}
	return fmt.Appendf(dst, "%d %d %d.%03d %c", angle/degree, angle/60000%60, angle/1000%60, angle%1000, letter)
}

func appendMeters(dst []byte, cm int64) []byte {
	if cm < 0 {
		dst, cm = append(dst, '-'), -cm
	}
	dst = strconv.AppendInt(dst, cm/100, 10)
	return append(dst, '.', byte('0'+cm/10%10), byte('0'+cm%10), 'm')
}
