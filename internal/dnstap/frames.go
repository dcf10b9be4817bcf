package dnstap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// contentType is the content type of streams of Dnstap messages.
const contentType = "protobuf:dnstap.Dnstap"

// Control is the type of a control frame.
type Control uint32

// The types of control frames.
const (
	Accept Control = 1 + iota
	Start
	Stop
	Ready
	Finish
)

var controlNames = [...]string{Accept: "ACCEPT", Start: "START", Stop: "STOP", Ready: "READY", Finish: "FINISH"}

func (c Control) String() string {
	if int(c) < len(controlNames) && controlNames[c] != "" {
		return controlNames[c]
	}
	return fmt.Sprintf("control frame %d", uint32(c))
}

// contentTypeField is the only field of control frames.
const contentTypeField = 1

// AppendControl appends a control frame. ACCEPT, START and READY have the content type.
func AppendControl(dst []byte, c Control) []byte {
	length := 4
	hasType := c == Accept || c == Start || c == Ready
	if hasType {
		length += 8 + len(contentType)
	}
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c))
	if hasType {
		dst = binary.BigEndian.AppendUint32(dst, contentTypeField)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(contentType)))
		dst = append(dst, contentType...)
	}
	return dst
}

// maxControl is the largest length of a control frame (FSTRM_CONTROL_FRAME_LENGTH_MAX).
const maxControl = 512

// ReadControl reads a control frame, and returns its type. A frame that has content types, and not
// the one of dnstap, is an error.
func ReadControl(r io.Reader) (Control, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(head[4:])
	if binary.BigEndian.Uint32(head[:]) != 0 || length < 4 || length > maxControl {
		return 0, errors.New("the answer is no control frame of Frame Streams")
	}
	frame := make([]byte, length)
	if _, err := io.ReadFull(r, frame); err != nil {
		return 0, err
	}
	c, fields := Control(binary.BigEndian.Uint32(frame)), frame[4:]
	for len(fields) > 0 {
		if len(fields) < 8 || uint64(len(fields)-8) < uint64(binary.BigEndian.Uint32(fields[4:])) {
			return c, fmt.Errorf("%s has an incomplete field", c)
		}
		value := fields[8 : 8+binary.BigEndian.Uint32(fields[4:])]
		if string(value) == contentType {
			return c, nil
		}
		fields = fields[8+len(value):]
	}
	if len(frame) > 4 {
		return c, fmt.Errorf("%s has not the content type %s", c, contentType)
	}
	return c, nil
}

// The begin and the end of each stream.
var (
	StreamStart = AppendControl(nil, Start)
	StreamEnd   = AppendControl(nil, Stop)
)

// Scan reads frames up to the end of r, and returns how many are queries, and the end of the last
// complete frame in bytes. A record is a query and perhaps its response, so the number of queries is
// the number of records. An incomplete frame is no error.
func Scan(r io.Reader) (queries int, end int64, err error) {
	const bufferSize = 64 << 10
	in := bufio.NewReaderSize(r, bufferSize)
	for {
		head, err := in.Peek(4)
		if err != nil {
			return queries, end, unlessEnd(err)
		}
		before, length := 4, int(binary.BigEndian.Uint32(head))
		isControl := length == 0
		if isControl {
			if head, err = in.Peek(8); err != nil {
				return queries, end, unlessEnd(err)
			}
			before, length = 8, int(binary.BigEndian.Uint32(head[4:]))
		}
		const first = 16 // bytes say what a frame is
		frame, err := in.Peek(before + min(length, first))
		if err != nil {
			return queries, end, unlessEnd(err)
		}
		query := !isControl && isQuery(frame[before:])
		if _, err := in.Discard(before + length); err != nil {
			return queries, end, unlessEnd(err)
		}
		if query {
			queries++
		}
		end += int64(before + length)
	}
}

func unlessEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
