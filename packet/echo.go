package packet

// Echo answers every datagram with itself (RFC 862).
type Echo struct{}

// Handle implements Handler.
func (Echo) Handle(b *Batch) {
	for i := range b.Datagrams {
		b.Reply(i, b.Datagrams[i].Payload)
	}
}

// Discard counts datagrams, and does nothing else (RFC 863).
type Discard struct{}

// Handle implements Handler.
func (Discard) Handle(*Batch) {}
