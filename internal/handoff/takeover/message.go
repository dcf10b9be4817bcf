package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/udpshard/udpshard/internal/handoff"
)

// protocol: the version of the protocol, in every message. A new version is a change of meaning of
// a message. New fields need no new version: unknown fields are ignored.
const protocol = 2

const (
	// maxMessage: most bytes of a message. Any kernel takes as many as one packet
	// (net.core.wmem_default is 208 KiB). A longer list is sent in several messages.
	maxMessage = 64 << 10
	// maxFiles: most descriptors of a message. The kernel refuses more with EINVAL (SCM_MAX_FD,
	// unix(7)).
	maxFiles = 253
	// maxListeners and maxSockets: bounds for the counts in messages of a faulty peer. A process
	// has at most 2^20 descriptors by default (fs.nr_open).
	maxListeners = 1 << 16
	maxSockets   = 1 << 20
)

type kind string

const (
	kindHello     kind = "hello"
	kindOffer     kind = "offer"
	kindListener  kind = "listener" // of an offer
	kindSockets   kind = "sockets"  // more sockets of a listener
	kindPrepare   kind = "ask"
	kindReady     kind = "ready"
	kindGrant     kind = "yours"
	kindCommit    kind = "mine"
	kindCommitted kind = "left"
	kindAnnounce  kind = "heir"
	kindRedirect  kind = "moved"
	kindRefused   kind = "refused" // of the same form in every protocol version
)

// carriesFiles: the kinds of message, and whether descriptors may come with each.
var carriesFiles = map[kind]bool{
	kindHello: false, kindOffer: true, kindListener: true, kindSockets: true, kindPrepare: false,
	kindReady: true, kindGrant: true, kindCommit: false, kindCommitted: false, kindAnnounce: true, kindRedirect: true, kindRefused: false,
}

// message is the JSON object of a packet. The package comment has the order of messages.
type message struct {
	Kind     kind   `json:"kind"`
	Protocol int    `json:"protocol"`
	Version  string `json:"version,omitempty"`
	Files    int    `json:"files,omitempty"` // descriptors in the packet

	PID       int             `json:"pid,omitempty"`       // hello, offer: the sender; announce, redirect: the new active process
	Role      Role            `json:"role,omitempty"`      // hello
	Listeners int             `json:"listeners,omitempty"` // offer: number of listeners that follow
	Notes     json.RawMessage `json:"notes,omitempty"`     // hello, offer

	Memory bool `json:"memory,omitempty"` // offer: the first two descriptors; ready, announce, redirect: all descriptors
	Web    bool `json:"web,omitempty"`    // offer: the last descriptor

	Name             string `json:"name,omitempty"`    // listener
	Address          string `json:"address,omitempty"` // listener
	ListenerProtocol string `json:"serves,omitempty"`  // listener
	Seed             uint32 `json:"seed,omitempty"`    // listener
	Sockets          int    `json:"sockets,omitempty"` // listener: number of UDP sockets, with the sockets of later messages
	Stream           bool   `json:"stream,omitempty"`  // listener: the first descriptor

	Device uint64 `json:"device,omitempty"` // grant: the file at the path
	Inode  uint64 `json:"inode,omitempty"`

	QuiescedAt int64 `json:"stopped,omitempty"` // grant: when the active process began to stop reading, see monotonicNow

	Reason string `json:"words,omitempty"` // refused
	Hint   string `json:"hint,omitempty"`

	files []*os.File // descriptors of a message in peer.messages
}

var errTooLarge = fmt.Errorf("a message is longer than %d bytes", maxMessage)

func (m message) encode() ([]byte, error) {
	data, err := json.Marshal(m)
	if err == nil && len(data) > maxMessage {
		err = errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Kind, err)
	}
	return data, nil
}

// decode reads a message. version is the version of this process, for error texts.
func decode(data []byte, version string) (message, error) {
	var m message
	if len(data) > maxMessage {
		return m, errTooLarge
	}
	// The envelope first: in another protocol version, fields may have other types.
	var envelope struct {
		Kind     kind   `json:"kind"`
		Protocol int    `json:"protocol"`
		Version  string `json:"version"`
		Words    string `json:"words"`
		Hint     string `json:"hint"`
	}
	if err := json.Unmarshal(data, &envelope); err != nil {
		return m, fmt.Errorf("no message of the takeover protocol: %w", err)
	}
	if envelope.Protocol == 0 || envelope.Kind == "" {
		return m, errors.New("no message of the takeover protocol: no protocol number or no kind")
	}
	if envelope.Kind == kindRefused {
		m = message{Kind: kindRefused, Protocol: envelope.Protocol, Version: envelope.Version, Reason: envelope.Words, Hint: envelope.Hint}
		if m.Protocol != protocol && m.Hint == "" { // a version that does not know of other protocol versions
			m.Hint = OtherVersionRemedy
		}
		return m, nil
	}
	if envelope.Protocol != protocol {
		return m, hinted{fmt.Errorf("udpshard %s speaks takeover protocol %d, udpshard %s speaks %d",
			versionName(envelope.Version), envelope.Protocol, versionName(version), protocol), OtherVersionRemedy}
	}
	if _, known := carriesFiles[envelope.Kind]; !known {
		return m, fmt.Errorf("udpshard %s sends %.40q, unknown to udpshard %s", versionName(envelope.Version), envelope.Kind, versionName(version))
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("%s of udpshard %s: %w", m.Kind, versionName(envelope.Version), err)
	}
	return m, m.check()
}

// check returns an error if counts of a message are invalid.
func (m message) check() error {
	switch {
	case m.Files < 0 || m.Files > maxFiles || m.Files > 0 && !carriesFiles[m.Kind],
		(m.Kind == kindReady || m.Kind == kindAnnounce || m.Kind == kindRedirect) && m.memoryFiles() != m.Files,
		m.Kind == kindListener && m.Stream && m.Files == 0:
		return fmt.Errorf("%s with %d descriptors", m.Kind, m.Files)
	case m.Listeners < 0 || m.Listeners > maxListeners:
		return fmt.Errorf("%s with %d listeners", m.Kind, m.Listeners)
	case m.Sockets < 0 || m.Sockets > maxSockets:
		return fmt.Errorf("%s with %d sockets", m.Kind, m.Sockets)
	}
	return nil
}

// memoryFiles returns the number of descriptors of the handoff.Memory in a message.
func (m message) memoryFiles() int {
	if m.Memory {
		return handoff.MemoryFiles
	}
	return 0
}

// versionName returns a version for error texts: at most 40 characters, and never empty.
func versionName(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return fmt.Sprintf("%.40s", version)
}
