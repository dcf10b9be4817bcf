package dns

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/internal/regular"
)

// sources are the files of a zone, which know the line that was last read
// from them: the parser's records do not.
type sources struct {
	name, absolute string
	all            []*source
	room           int64 // bytes that may still be read
}

// mostZone is how many bytes a zone's files may have, each as often as it is included:
// some 25,000,000 records, with which loading takes 20 GiB. It ends what includes itself
// again and again.
const mostZone = 1 << 30

// measured reads from a file within what the zone's files may have.
type measured struct {
	io.Reader
	files *sources
}

func (m measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if m.files.room -= int64(n); m.files.room < 0 {
		return 0, fmt.Errorf("the zone has more than %d bytes, with the files that it includes", mostZone)
	}
	return n, err
}

type source struct {
	fs.File // nil once it is closed, and of a reader that is not a file
	reader  *bufio.Reader
	parser  string // what the parser calls it
	name    string // what errors call it
	line    int
	ended   bool    // the last byte ended a line
	begin   [9]byte // of the line
	column  int
	text    spelling
	wrong   error // with its place
}

// byteOrderMark is what some editors begin a file with: RFC 1035 knows none.
const byteOrderMark = "\xef\xbb\xbf"

// generates reports whether the last line was $GENERATE, from which the parser
// makes text of its own, with lines that it numbers itself.
func (f *source) generates() bool { return strings.EqualFold(string(f.begin[:]), "$GENERATE") }

func newSources(name string) (*sources, error) {
	absolute, err := filepath.Abs(name) // so that names of included files are, too
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &sources{name: name, absolute: absolute, room: mostZone}, nil
}

func (s *sources) add(r io.Reader, file fs.File, parser, name string) *source {
	f := &source{File: file, reader: bufio.NewReaderSize(measured{r, s}, 65536), parser: parser, name: name, line: 1}
	if begin, _ := f.reader.Peek(len(byteOrderMark)); string(begin) == byteOrderMark {
		f.reader.Discard(len(byteOrderMark))
	}
	s.all = append(s.all, f)
	return f
}

// Open implements fs.FS for $INCLUDE. The parser has made the path absolute
// and cut the slash off its front.
func (s *sources) Open(path string) (fs.File, error) {
	file, err := regular.Open("/" + path)
	if err != nil {
		return nil, err
	}
	name := "/" + path
	if relative, err := filepath.Rel(filepath.Dir(s.absolute), name); err == nil && filepath.IsLocal(relative) {
		name = filepath.Join(filepath.Dir(s.name), relative)
	}
	return s.add(file, file, path, name), nil
}

// place is where the record ended that was read last.
func (s *sources) place() place {
	f := s.current()
	return place{&f.name, f.line}
}

func (s *sources) current() *source {
	last := len(s.all) - 1
	for last > 0 && s.all[last].File == nil {
		last--
	}
	return s.all[last]
}

// check says what is wrong with the text of a record that the parser has
// read, or with what it could not read; there is no record then.
func (s *sources) check(rr dns.RR) error {
	for _, f := range s.all {
		if f.wrong != nil {
			return f.wrong
		}
	}
	if f := s.current(); rr != nil && (f.text.long && cut(rr) || f.generates() && cutGenerated(rr)) {
		return s.place().errorf("%s: a string of more than 255 octets (RFC 1035 section 3.3)", appendType(nil, rr.Header().Rrtype))
	}
	return nil
}

func (s *sources) close() {
	for _, f := range s.all {
		f.Close()
	}
}

var parseError = regexp.MustCompile(`(?s)^(?:(.*?): )?dns: (.*) at line: ([0-9]+):[0-9]+$`)

// explain puts the file and the line first, as all errors have them.
func (s *sources) explain(err error) error {
	if m := parseError.FindStringSubmatch(err.Error()); m != nil {
		for _, f := range s.all {
			if f.parser == m[1] {
				if f.generates() {
					m[3] = strconv.Itoa(f.line)
				}
				return fmt.Errorf("%s:%s: %s%s", f.name, m[3], m[2], hint(m[2]))
			}
		}
	}
	return s.place().errorf("%w", err)
}

const unknownType = " (not a type that is read here, either: such are written as TYPE and its number, RFC 3597)"

// hint says what is not obvious in the parser's words.
func hint(message string) string {
	for begin, hint := range map[string]string{
		"bad owner name":        " (a relative name needs $ORIGIN before it)",
		"not a TTL":             unknownType,
		"expecting RR type":     unknownType,
		"unknown RR type":       unknownType,
		"bad CAA Tag: \"\\\"\"": " (the tag is a word without quotes, RFC 8659 section 4.1.1)",
	} {
		if strings.HasPrefix(message, begin) {
			return hint
		}
	}
	return ""
}

// ReadByte implements io.ByteReader, by which the parser reads.
func (f *source) ReadByte() (byte, error) {
	c, err := f.reader.ReadByte()
	if err != nil {
		if err != io.EOF {
			f.wrong = place{&f.name, f.line}.errorf("%w", err)
		}
		return 0, err
	}
	if f.ended {
		f.line++
		f.column = 0
	}
	if f.ended = c == '\n'; f.column < len(f.begin) {
		f.begin[f.column] = c
		f.column++
	}
	if err := f.text.add(c, f.generates()); err != nil {
		f.wrong = place{&f.name, f.line}.errorf("%w", err)
		return 0, f.wrong
	}
	return c, nil
}

func (f *source) Read(p []byte) (int, error) { return f.reader.Read(p) }

func (f *source) Close() error {
	if f.File == nil {
		return nil
	}
	file := f.File
	f.File = nil
	return file.Close()
}
