package masterfile

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// source is a file that is being read. An entry is a line, or the lines that parentheses join.
type source struct {
	name   string
	reader io.Reader
	buffer []byte
	text   string // a part of the file that begins with the unread entries
	next   int    // offset in text of the next entry
	line   int    // of the next entry
	end    bool   // text ends with the end of the file
	entry  entry
}

// entry has the fields of an entry, without comments.
type entry struct {
	fields      []rdata.Field
	line        int  // the first line
	indented    bool // the entry begins with white space
	innerQuotes bool // a field that is not quoted has quotes within, such as alpn="h2"
}

// Sizes of a chunk, which is what a read has room for. Fields are substrings of a chunk. The first
// chunks are small, because most files of a server with many zones are small.
const (
	firstChunk = 4 << 10
	chunkSize  = 64 << 10
)

const byteOrderMark = "\xef\xbb\xbf" // UTF-8; some editors begin files with the mark

func newSource(name string, r io.Reader) *source {
	return &source{name: name, reader: r, line: 1, buffer: make([]byte, firstChunk)}
}

// readEntry reads the next entry into s.entry. The error at the end of the file is io.EOF.
func (s *source) readEntry() error {
	for {
		if s.next < len(s.text) {
			if complete, err := s.scanEntry(); err != nil {
				return s.errorf("%w", err)
			} else if complete {
				return nil
			}
		}
		if s.end {
			return io.EOF
		}
		if err := s.fill(); err != nil {
			return s.errorf("%w", err)
		}
	}
}

// fill drops the text before the next entry, and adds text behind.
func (s *source) fill() error {
	begin := s.text == ""
	rest := s.text[s.next:]
	if s.text != "" && len(s.buffer) < max(chunkSize, 2*len(rest)) {
		s.buffer = make([]byte, 2*len(s.buffer))
	}
	n := copy(s.buffer, rest)
	m, err := io.ReadFull(s.reader, s.buffer[n:])
	s.end = err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !s.end {
		return err
	}
	s.text, s.next = string(s.buffer[:n+m]), 0
	if begin && strings.HasPrefix(s.text, byteOrderMark) {
		s.next = len(byteOrderMark)
	}
	return nil
}

// isSpecial marks the bytes that end a word or are escaped in a word (RFC 1035 section 5.1).
var isSpecial = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, '"': true, '(': true, ')': true, ';': true, '\\': true}

// scanEntry reads an entry. The entry is complete if its end is in the text. After an error, s.line
// is the line of the error.
func (s *source) scanEntry() (complete bool, err error) {
	text, i, line, parentheses := s.text, s.next, s.line, 0
	e := &s.entry
	*e = entry{fields: e.fields[:0], line: line, indented: text[i] == ' ' || text[i] == '\t'}
	defer func() {
		if complete || err != nil {
			s.next, s.line = i, line
		}
	}()
	for i < len(text) {
		end := i + 1
		switch text[i] {
		case ' ', '\t':
		case '\n':
			line++
			if parentheses == 0 {
				i++
				return true, nil
			}
		case '\r':
			if end == len(text) && !s.end {
				return false, nil
			}
			if end == len(text) || text[end] != '\n' {
				return false, errors.New("a carriage return without a line feed")
			}
		case ';':
			if end = strings.IndexByte(text[i:], '\n') + i; end < i {
				end = len(text)
			}
		case '(':
			parentheses++
		case ')':
			if parentheses--; parentheses < 0 {
				return false, errors.New("a closing parenthesis without an opening one")
			}
		case '"':
			if end, err = scanQuoted(text, i); err == nil && end > 0 {
				e.fields = append(e.fields, rdata.Field{Text: text[i+1 : end-1], Quoted: true})
			}
		default:
			var quotes bool
			if end, quotes, err = scanWord(text, i); err == nil && end > 0 {
				e.fields = append(e.fields, rdata.Field{Text: text[i:end]})
				e.innerQuotes = e.innerQuotes || quotes
			}
		}
		switch {
		case err != nil:
			return false, err
		case end < 0 && s.end:
			return false, errors.New("the file ends within a quoted string, or behind a backslash")
		case end < 0:
			return false, nil
		}
		i = end
	}
	if s.end && parentheses > 0 {
		line = e.line
		return false, errors.New("an opening parenthesis without a closing one")
	}
	return s.end, nil
}

// scanWord returns the end of the word that begins at i, and whether there are quotes in the word.
// The end is -1 if the text ends within an escape or a quoted part.
func scanWord(text string, i int) (end int, quotes bool, err error) {
	for ; i < len(text); i++ {
		c := text[i]
		if !isSpecial[c] {
			continue
		}
		switch c {
		case '\\':
			if i++; i == len(text) {
				return -1, quotes, nil
			}
			if text[i] == '\n' || text[i] == '\r' {
				return 0, quotes, errBackslash
			}
		case '"':
			quotes = true
			if end, err = scanQuoted(text, i); err != nil || end < 0 {
				return end, quotes, err
			}
			i = end - 1
		default:
			return i, quotes, nil
		}
	}
	return i, quotes, nil
}

// scanQuoted returns the offset behind the quoted string that begins at i, or -1 if the text has no
// end of the string.
func scanQuoted(text string, i int) (int, error) {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
			if i < len(text) && text[i] == '\n' {
				return 0, errBackslash
			}
		case '\n':
			return 0, errLineEnd
		}
	}
	return -1, nil
}

var (
	errBackslash = errors.New("a backslash at the end of a line")
	errLineEnd   = errors.New(`a quoted string without its end on the line (a line feed within a string is written as \010)`)
)

// dataFields returns the fields of the data of a type. A field with quotes within, such as a"b", is a
// word and a quoted string, except for the parameters of SVCB and HTTPS records (RFC 9460 section
// 2.1), which rdata.Parse reads.
func dataFields(rtype uint16, fields []rdata.Field) []rdata.Field {
	if rtype == typeSVCB || rtype == typeHTTPS {
		return fields
	}
	var split []rdata.Field
	for _, f := range fields {
		if f.Quoted {
			split = append(split, f)
			continue
		}
		word := 0
		for i := 0; i < len(f.Text); i++ {
			switch f.Text[i] {
			case '\\':
				i++
			case '"':
				if word < i {
					split = append(split, rdata.Field{Text: f.Text[word:i]})
				}
				word, _ = scanQuoted(f.Text, i)
				split = append(split, rdata.Field{Text: f.Text[i+1 : word-1], Quoted: true})
				i = word - 1
			}
		}
		if word < len(f.Text) {
			split = append(split, rdata.Field{Text: f.Text[word:]})
		}
	}
	return split
}

func (s *source) errorf(format string, args ...any) error {
	return Position{s.name, s.line}.Errorf(format, args...)
}

// Position is a line of a file. The lines of a file begin at 1.
type Position struct {
	File string
	Line int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Errorf returns an error as fmt.Errorf does, with the position before the text.
func (p Position) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p}, args...)...)
}
