package kafka

// sizeLimit is how many bytes of records are produced at once: learned from batches that a broker
// has refused because of a record, or because of their size.
type sizeLimit struct {
	bytes    int // 0: one message, until a first message is stored
	accepted int // flights since the last change
}

// raiseAfter is how many flights without a refusal raise the limit: the record that was refused is
// gone, or the topic has a new limit. If not, one flight of this number is refused.
const raiseAfter = 20

// refused lowers the limit after several records of size bytes were refused.
func (l *sizeLimit) refused(size int) { *l = sizeLimit{bytes: max(size/2, 1)} }

// stored notes a flight without a refusal.
func (l *sizeLimit) stored() {
	l.accepted++
	switch {
	case l.bytes == 0:
		*l = sizeLimit{bytes: batchBytes}
	case l.accepted >= raiseAfter:
		*l = sizeLimit{bytes: min(2*l.bytes, batchBytes)}
	}
}
