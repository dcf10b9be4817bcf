package masterfile

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// maxGenerated is the limit for the records of a $GENERATE directive.
const maxGenerated = 1_000_000

// generate reads $GENERATE as in BIND: start-stop[/step] owner [TTL] [class] type data, where the
// owner and the data are templates. In BIND the data is one field, which is quoted if it has spaces
// and then has the fields of the data within. Here, the fields may be written as in a record too.
func (rd *reader) generate(fields []rdata.Field) error {
	if len(fields) < 2 {
		return rd.errorf("$GENERATE needs a range, an owner, a type and data")
	}
	g, err := parseGenerator(fields)
	if err != nil {
		return rd.errorf("$GENERATE: %w", err)
	}
	if t := g.header.rtype; (t == typeTXT || t == typeSPF) && g.inQuotes && len(g.fields) > 1 {
		rd.warn(`$GENERATE: %d strings, as in BIND: a string with spaces is written as "\"text\""`, len(g.fields))
	}
	before := rd.owner
	for value := g.start; value <= g.stop; value += g.step {
		if err := rd.use(g.expand(value)); err != nil {
			return rd.errorf("$GENERATE: %w", err)
		}
		if err := rd.setOwner(g.owner); err != nil {
			return err
		}
		if err := rd.add(g.header, g.fields); err != nil {
			return err
		}
	}
	rd.owner = before
	return nil
}

// generator makes the records of a $GENERATE directive.
type generator struct {
	start, stop, step int64
	header            header
	ownerTemplate     template
	templates         []template // of the fields
	inQuotes          bool       // the fields are within one quoted field

	owner  string // of the current record
	fields []rdata.Field
}

// expand makes the owner and the fields for a value, and returns the size of their text.
func (g *generator) expand(value int64) (size int) {
	g.owner = g.ownerTemplate.expand(value)
	size = len(g.owner)
	for i, t := range g.templates {
		g.fields[i].Text = t.expand(value)
		size += len(g.fields[i].Text)
	}
	return size
}

func parseGenerator(fields []rdata.Field) (*generator, error) {
	g := new(generator)
	if err := g.parseRange(fields[0].Text); err != nil {
		return nil, err
	}
	var err error
	if g.ownerTemplate, err = g.parseTemplate(fields[1].Text); err != nil {
		return nil, err
	}
	var data []rdata.Field
	if g.header, data, err = parseHeader(fields[2:]); err != nil {
		return nil, err
	}
	if g.inQuotes = len(data) == 1 && data[0].Quoted; g.inQuotes {
		if data, err = splitData(data[0].Text); err != nil {
			return nil, err
		}
	}
	for _, f := range dataFields(g.header.rtype, data) {
		t, err := g.parseTemplate(f.Text)
		if err != nil {
			return nil, err
		}
		g.templates = append(g.templates, t)
		g.fields = append(g.fields, f)
	}
	return g, nil
}

// parseRange parses start-stop or start-stop/step.
func (g *generator) parseRange(text string) error {
	bounds, step, hasStep := strings.Cut(text, "/")
	start, stop, _ := strings.Cut(bounds, "-")
	if !hasStep {
		step = "1"
	}
	for _, number := range []struct {
		text  string
		value *int64
	}{{start, &g.start}, {stop, &g.stop}, {step, &g.step}} {
		n, err := strconv.ParseUint(number.text, 10, 31)
		if err != nil {
			return fmt.Errorf("%.80q: not a range: START-STOP or START-STOP/STEP, with numbers from 0 to %d", text, math.MaxInt32)
		}
		*number.value = int64(n)
	}
	if g.stop < g.start || g.step == 0 {
		return fmt.Errorf("%.80q: not a range: START is at most STOP, and STEP is at least 1", text)
	}
	if n := (g.stop-g.start)/g.step + 1; n > maxGenerated {
		return fmt.Errorf("%.80q: %d records, of at most %d", text, n, maxGenerated)
	}
	return nil
}

// splitData returns the fields of data within a quoted string.
func splitData(quoted string) ([]rdata.Field, error) {
	s := source{text: strings.ReplaceAll(quoted, `\"`, `"`), end: true}
	if s.text == "" {
		return nil, nil
	}
	_, err := s.scanEntry()
	return s.entry.fields, err
}

// template is text, each part with a number behind.
type template struct {
	parts []templatePart
	end   string
}

type templatePart struct {
	text   string
	offset int64 // is added to the value
	width  int   // least number of octets
	base   byte  // d, o, x, X, n, N
}

const (
	defaultBase = 'd'

	// maxWidth is the limit for the width of a number, so that the text of a record stays short: a
	// name has at most 255 octets, with those of the 127 nibbles and dots of ip6.arpa.
	maxWidth = 255
)

// parseTemplate parses text with $, ${offset}, ${offset,width} and ${offset,width,base} for
// numbers. \$ and $$ are a $.
func (g *generator) parseTemplate(text string) (template, error) {
	var t template
	var literal strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			literal.WriteString(text[i : i+2])
			i++
		case c != '$':
			literal.WriteByte(c)
		case i+1 < len(text) && text[i+1] == '$':
			literal.WriteByte('$')
			i++
		default:
			part := templatePart{text: literal.String(), base: defaultBase}
			if i+1 < len(text) && text[i+1] == '{' {
				modifier, _, closed := strings.Cut(text[i+2:], "}")
				if !closed || !part.parseModifier(modifier) {
					return t, fmt.Errorf("%.80q: not ${OFFSET,WIDTH,BASE}, with a width of at most %d and a base of d, o, x, X, n or N", text[i:], maxWidth)
				}
				i += len("{}") + len(modifier)
			}
			if g.start+part.offset < 0 || g.stop+part.offset > math.MaxInt32 {
				return t, fmt.Errorf("%.80q: numbers outside 0 to %d, in the range %d-%d", text, math.MaxInt32, g.start, g.stop)
			}
			t.parts = append(t.parts, part)
			literal.Reset()
		}
	}
	t.end = literal.String()
	return t, nil
}

// parseModifier parses what is between the braces of ${offset,width,base}.
func (p *templatePart) parseModifier(text string) bool {
	fields := strings.Split(text, ",")
	offset, err := strconv.ParseInt(fields[0], 10, 32)
	p.offset = offset
	if len(fields) > 1 && err == nil {
		p.width, err = strconv.Atoi(fields[1])
	}
	if len(fields) > 2 {
		if len(fields[2]) != 1 || !strings.Contains("doxXnN", fields[2]) {
			return false
		}
		p.base = fields[2][0]
	}
	return err == nil && p.width >= 0 && p.width <= maxWidth && len(fields) <= 3
}

func (t *template) expand(value int64) string {
	if len(t.parts) == 0 {
		return t.end
	}
	var text []byte
	for _, p := range t.parts {
		text = append(text, p.text...)
		text = p.appendNumber(text, value+p.offset)
	}
	return string(append(text, t.end...))
}

func (p *templatePart) appendNumber(dst []byte, value int64) []byte {
	switch p.base {
	case 'd':
		return fmt.Appendf(dst, "%0*d", p.width, value)
	case 'o':
		return fmt.Appendf(dst, "%0*o", p.width, value)
	case 'x':
		return fmt.Appendf(dst, "%0*x", p.width, value)
	case 'X':
		return fmt.Appendf(dst, "%0*X", p.width, value)
	}
	digits := "0123456789abcdef"
	if p.base == 'N' {
		digits = "0123456789ABCDEF"
	}
	// Nibbles, the last first, each with a dot behind if the width has room or more follow.
	for width := p.width; ; {
		dst = append(dst, digits[value&15])
		value >>= 4
		if width--; width <= 0 && value == 0 {
			return dst
		}
		dst = append(dst, '.')
		if width--; width <= 0 && value == 0 {
			return dst
		}
	}
}
