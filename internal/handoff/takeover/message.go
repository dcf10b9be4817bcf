package takeover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/udpshard/udpshard/internal/handoff"
)

// protocol is the number that every message carries. It changes when a
// message means something else than before; new fields are no change, since
// unknown ones are ignored.
const protocol = 2

const (
	// maxMessage is the most bytes of a message: what any kernel takes as one
	// packet (net.core.wmem_default is 208 KiB). Longer lists are sent in
	// several messages.
	maxMessage = 64 << 10
	// maxFiles is the most descriptors of a message: the kernel refuses more
	// with EINVAL (SCM_MAX_FD, unix(7)).
	maxFiles = 253
	// maxListeners and maxSockets bound what is taken from a peer that counts
	// wrongly. A process has 2^20 descriptors at the most by default
	// (fs.nr_open).
	maxListeners = 1 << 16
	maxSockets   = 1 << 20
)

type kind string

const (
	kindHello     kind = "hello"
	kindOffer     kind = "offer"
	kindListener  kind = "listener" // of an offer
	kindSockets   kind = "sockets"  // more of a listener
	kindPrepare   kind = "ask"
	kindReady     kind = "ready"
	kindGrant     kind = "yours"
	kindCommit    kind = "mine"
	kindCommitted kind = "left"
	kindAnnounce  kind = "heir"
	kindRedirect  kind = "moved"
	kindRefused   kind = "refused" // has the same form in every protocol
)

// carries says of every kind whether descriptors may come with it.
var carriesFiles = map[kind]bool{
	kindHello: false, kindOffer: true, kindListener: true, kindSockets: true, kindPrepare: false,
	kindReady: true, kindGrant: true, kindCommit: false, kindCommitted: false, kindAnnounce: true, kindRedirect: true, kindRefused: false,
}

// message is what is sent: one JSON object.
type message struct {
	Kind     kind   `json:"kind"`
	Protocol int    `json:"protocol"`
	Version  string `json:"version,omitempty"`
	Files    int    `json:"files,omitempty"` // descriptors that come with it

	PID       int             `json:"pid,omitempty"`       // hello, offer; heir, moved: of the new one
	Role      Role            `json:"role,omitempty"`      // hello
	Listeners int             `json:"listeners,omitempty"` // offer: how many follow
	Notes     json.RawMessage `json:"notes,omitempty"`     // hello, offer

	Memory bool `json:"memory,omitempty"` // offer: the first two descriptors; ready, heir, moved: all
	Web    bool `json:"web,omitempty"`    // offer: the last descriptor

	Name             string `json:"name,omitempty"`    // listener
	Address          string `json:"address,omitempty"` // listener
	ListenerProtocol string `json:"serves,omitempty"`  // listener: its protocol
	Seed             uint32 `json:"seed,omitempty"`    // listener
	Sockets          int    `json:"sockets,omitempty"` // listener: how many it has, with those of the messages after it
	Stream           bool   `json:"stream,omitempty"`  // listener: the first descriptor

	Device uint64 `json:"device,omitempty"` // yours: the file at the path
	Inode  uint64 `json:"inode,omitempty"`

	QuiescedAt int64 `json:"stopped,omitempty"` // yours: when it began to stop reading, see clock

	Reason string `json:"words,omitempty"` // refused
	Hint   string `json:"hint,omitempty"`

	files []*os.File // of one that waits to be dealt with
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

// decode reads a message. Its errors name the version that is ours and, where
// it was said, the other's.
func decode(data []byte, version string) (message, error) {
	var m message
	if len(data) > maxMessage {
		return m, errTooLarge
	}
	// The envelope first: fields may have other types in another protocol.
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
		return m, errors.New("no message of the takeover protocol: it has no protocol number or no kind")
	}
	if envelope.Kind == kindRefused {
		m = message{Kind: kindRefused, Protocol: envelope.Protocol, Version: envelope.Version, Reason: envelope.Words, Hint: envelope.Hint}
		if m.Protocol != protocol && m.Hint == "" { // it may not have known that there are others
			m.Hint = OtherVersionRemedy
		}
		return m, nil
	}
	if envelope.Protocol != protocol {
		return m, hinted{fmt.Errorf("udpshard %s speaks takeover protocol %d, udpshard %s speaks %d",
			versionName(envelope.Version), envelope.Protocol, versionName(version), protocol), OtherVersionRemedy}
	}
	if _, known := carriesFiles[envelope.Kind]; !known {
		return m, fmt.Errorf("udpshard %s sends %.40q, which udpshard %s does not know", versionName(envelope.Version), envelope.Kind, versionName(version))
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("%s of udpshard %s: %w", m.Kind, versionName(envelope.Version), err)
	}
	return m, m.check()
}

// check says what no sound message has.
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

// memoryFiles is how many descriptors of a Memory come with it.
func (m message) memoryFiles() int {
	if m.Memory {
		return handoff.MemoryFiles
	}
	return 0
}

// named is a version as it is said in words: short, and never empty.
func versionName(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return fmt.Sprintf("%.40s", version)
}
