package stream

import "sort"

// overlap has the last frames that were acknowledged, without gaps, in a ring.
type overlap struct {
	ring  []byte
	start int // of the oldest frame in the ring
	used  int // bytes of all frames

	lengths []int // of the frames, oldest first; those before removed are no longer in the ring
	removed int
}

// newOverlap returns an overlap with room for size bytes.
func newOverlap(size int) overlap { return overlap{ring: make([]byte, size)} }

// add adds the frames of the first n records. The oldest frames make room.
func (o *overlap) add(f *frames, n int) {
	if n == 0 || len(o.ring) == 0 {
		return
	}
	end := f.ends[n-1]
	from := sort.Search(n, func(i int) bool { return end-f.start(i) <= len(o.ring) })
	if from > 0 {
		o.clear()
	}
	added := f.bytes[f.start(from):end]
	for o.used+len(added) > len(o.ring) {
		o.removeOldest()
	}
	next := (o.start + o.used) % len(o.ring)
	copied := copy(o.ring[next:], added)
	copy(o.ring, added[copied:])
	o.used += len(added)
	for i := from; i < n; i++ {
		if length := f.ends[i] - f.start(i); length > 0 {
			o.lengths = append(o.lengths, length)
		}
	}
}

func (o *overlap) clear() {
	o.start, o.used, o.removed, o.lengths = 0, 0, 0, o.lengths[:0]
}

func (o *overlap) removeOldest() {
	length := o.lengths[o.removed]
	o.removed++
	o.start = (o.start + length) % len(o.ring)
	o.used -= length
	if o.removed > len(o.lengths)/2 {
		o.lengths = append(o.lengths[:0], o.lengths[o.removed:]...)
		o.removed = 0
	}
}

// parts returns the frames, oldest first, in two parts. A frame may begin in the first part and end
// in the second.
func (o *overlap) parts() (older, newer []byte) {
	end := o.start + o.used
	if end <= len(o.ring) {
		return o.ring[o.start:end], nil
	}
	return o.ring[o.start:], o.ring[:end-len(o.ring)]
}

// frames returns how many frames there are.
func (o *overlap) frames() int { return len(o.lengths) - o.removed }
