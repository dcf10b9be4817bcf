package dnsrecord

import (
	"encoding/base64"

	"github.com/udpshard/udpshard/internal/dnstap"
)

// Dnstap writes dnstap messages: AUTH_QUERY for each exchange, and AUTH_RESPONSE if a reply was
// sent.
type Dnstap struct {
	encoder *dnstap.Encoder
	lines   bool
	frames  []byte // of a line
}

// NewDnstap returns a Dnstap that appends frames or, with lines, the frames of an exchange in base64
// as a line. identity and version are those of the server.
func NewDnstap(identity, version string, lines bool) *Dnstap {
	return &Dnstap{encoder: dnstap.NewEncoder(identity, version), lines: lines}
}

// Append appends the record of an exchange.
func (d *Dnstap) Append(dst []byte, e *Exchange) []byte {
	if !d.lines {
		return d.appendFrames(dst, e)
	}
	d.frames = d.appendFrames(d.frames[:0], e)
	return append(base64.StdEncoding.AppendEncode(dst, d.frames), '\n')
}

func (d *Dnstap) appendFrames(dst []byte, e *Exchange) []byte {
	m := dnstap.Message{Type: dnstap.AuthQuery, TCP: e.Transport == TCP, Client: e.Source,
		Server: e.Destination, Zone: e.Zone, Query: e.Message, QueryTime: e.ReceivedAt}
	dst = d.encoder.AppendFrame(dst, &m)
	if e.Reply == nil {
		return dst
	}
	m.Type, m.Query = dnstap.AuthResponse, nil
	m.Response, m.ResponseTime = e.Reply, e.ReceivedAt.Add(e.Duration)
	return d.encoder.AppendFrame(dst, &m)
}
