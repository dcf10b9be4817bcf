package metrics

import "github.com/udpshard/udpshard/internal/sys"

// Prefault reads all that Inherit and Settle read of a book. A process that maps a book does so
// before anybody waits for it: each of its pages costs a page fault the first time.
func (b *SharedCounters) Prefault() {
	for number := range b.pages {
		b.counters(number).total()
		sys.Arrived(b.receiver(number))
		b.last(number)
	}
}
