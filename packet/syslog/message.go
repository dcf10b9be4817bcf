package syslog

// Format says which grammar a datagram fits.
type Format string

const (
	RFC5424  Format = "rfc5424"  // a part of its header may be malformed: see Message.Malformed
	RFC3164  Format = "rfc3164"  // as it is met in the field
	Unparsed Format = "unparsed" // none, or an RFC 5424 header without a valid timestamp
)

// Message is one decoded datagram. Its fields are views over the datagram's
// bytes and over memory of the Decoder: they are valid until the datagram's
// memory is used again or the Decoder decodes again, whichever is first. A
// field that the datagram does not have is empty.
type Message struct {
	Format Format

	// Malformed is the first field of an RFC 5424 header that breaks section
	// 6: "hostname", "appname", "procid", "msgid" or "structured_data". Text
	// begins with it: what comes before it is in the fields. It is empty if
	// none does, and for other formats.
	Malformed string

	// Priority is the PRI, 0 to 191: facility*8 + severity. It is
	// meaningless unless HasPriority.
	Priority    uint8
	HasPriority bool

	// Timestamp is the sender's, in RFC 3339.
	Timestamp []byte

	Hostname []byte
	AppName  []byte // the name in the TAG, in RFC 3164
	ProcID   []byte
	MsgID    []byte

	StructuredData []Element

	// The message is Prefix[0], Prefix[1] and Text, one after the other.
	// Prefix is not empty only where a field stood between parts of the
	// message: Cisco's sequence numbers precede the timestamp.
	Prefix [2][]byte
	Text   []byte
}

// Element is an SD-ELEMENT of RFC 5424 section 6.3. No two of a message have
// the same ID.
type Element struct {
	ID     []byte
	Params []Param
}

// Param is an SD-PARAM of RFC 5424 section 6.3. Names may repeat in an
// element.
type Param struct {
	Name []byte
	// Value is as it was sent: a backslash stands before each quotation
	// mark, backslash and closing bracket.
	Value []byte

	escaped  bool  // Value has a backslash
	repeated bool  // a param before it has the same Name
	nextSame int32 // index in Params of the next one of the same Name, or 0
}
