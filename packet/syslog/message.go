package syslog

// Format is the grammar that a datagram fits.
type Format string

const (
	RFC5424  Format = "rfc5424"  // possibly with a malformed header: see Message.Malformed
	RFC3164  Format = "rfc3164"  // as seen in practice
	Unparsed Format = "unparsed" // no grammar, or an RFC 5424 header without a valid timestamp
)

// Message is a decoded datagram. Its fields are views of the datagram and of memory of the Decoder:
// they are valid until the datagram's memory is reused or the Decoder decodes the next datagram.
// Missing fields are empty.
type Message struct {
	Format Format

	// Malformed is the first field of an RFC 5424 header that breaks section 6: "hostname",
	// "appname", "procid", "msgid" or "structured_data". The earlier fields are set, and Text
	// begins with the malformed field. Malformed is empty for a valid header, and for other
	// formats.
	Malformed string

	// Priority is the PRI, 0 to 191: facility*8 + severity. Without HasPriority, Priority has no
	// meaning.
	Priority    uint8
	HasPriority bool
	hasBOM      bool // a BOM before Text was cut

	// Timestamp is the sender's, in RFC 3339.
	Timestamp []byte

	Hostname []byte
	AppName  []byte // the name in the TAG, in RFC 3164
	ProcID   []byte
	MsgID    []byte

	StructuredData []Element

	// The message is Prefix[0], Prefix[1] and Text, in this order. Prefix is empty unless a field
	// stood between parts of the message: Cisco's sequence numbers precede the timestamp.
	Prefix [2][]byte
	Text   []byte
}

// Element is an SD-ELEMENT of RFC 5424 section 6.3. The elements of a message have different IDs.
type Element struct {
	ID     []byte
	Params []Param
}

// Param is an SD-PARAM of RFC 5424 section 6.3. Names may repeat in an element.
type Param struct {
	Name []byte
	// Value is as sent, with a backslash before each quotation mark, backslash and closing bracket.
	Value []byte

	escaped  bool  // Value has a backslash
	repeated bool  // an earlier param has the same Name
	nextSame int32 // index in Params of the next param with the same Name, or 0
}
