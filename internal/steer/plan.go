package steer

import (
	"fmt"
	"net/netip"
	"slices"
)

// minBuckets is the least number of buckets of Auto: with 4 shards, moving a bucket moves 1.6% of a
// shard's flows.
const minBuckets = 256

// Bounds of a plan, so that its program stays below the kernel's 4096 instructions
// (BPF_MAXINSNS), and below the 20 KiB of net.core.optmem_max before Linux 6.9, in the kernel's
// own instructions. Avoided shards add to the program: 50 fit beside maxMoved and maxSprayed, 400
// without moved buckets and sprayed flows.
const (
	maxMoved   = 512
	maxSprayed = 32
)

// Plan chooses the shard of each datagram. Shards are numbered from 0, in the order in which their
// sockets joined the SO_REUSEPORT group.
type Plan struct {
	Mode   Mode
	Shards int
	CPUs   []int  // the CPU of each shard, for the mode CPU
	Seed   uint32 // of the flow hash: a sender that does not know the seed can't aim at a shard

	// Avoid are shards that get no datagrams, in all modes but Hash and while other shards remain.
	Avoid []int
	// Moved are the shards of the buckets that are not at their home shard, for Auto.
	Moved map[int]int
	// Sprayed are the hashes of flows whose datagrams go to any shard, for Auto. A flow with the
	// same 32 bits is sprayed too.
	Sprayed []uint32
}

// Buckets returns the number of buckets of Auto: 256 or the next multiple of Shards, so that each
// shard is the home of equally many, and at least 4 for each shard.
func (p Plan) Buckets() int { return p.Shards * max(4, (minBuckets+p.Shards-1)/p.Shards) }

// Bucket returns the bucket of a flow's hash.
func (p Plan) Bucket(hash uint32) int { return int(hash % uint32(p.Buckets())) }

// Home returns the shard of a bucket that is not moved.
func (p Plan) Home(bucket int) int { return bucket % p.Shards }

// Shard returns the shard of a flow in Auto and Source. one is false if the flow's datagrams go to
// several shards.
func (p Plan) Shard(source netip.AddrPort) (shard int, one bool) {
	switch p.Mode {
	case Auto:
		hash := Flow(p.Seed, source)
		if slices.Contains(p.Sprayed, hash) {
			return 0, false
		}
		return p.shardOf(hash), true
	case Source:
		return p.shardOf(Address(p.Seed, source.Addr())), true
	}
	return 0, false
}

// shardOf returns the shard of a hash in Auto and Source.
func (p Plan) shardOf(hash uint32) int {
	shard := int(hash % uint32(p.Shards)) // also the bucket's home: Buckets is a multiple of Shards
	if to, moved := p.Moved[p.Bucket(hash)]; moved && p.Mode == Auto {
		shard = to
	}
	if slices.Contains(p.Avoid, shard) {
		if usable := p.usable(); len(usable) < p.Shards {
			shard = usable[hash/uint32(p.Shards)%uint32(len(usable))]
		}
	}
	return shard
}

// usable returns the shards that get datagrams: all shards, if Avoid has all.
func (p Plan) usable() []int {
	var usable []int
	for i := range p.Shards {
		if !slices.Contains(p.Avoid, i) {
			usable = append(usable, i)
		}
	}
	if len(usable) == 0 {
		for i := range p.Shards {
			usable = append(usable, i)
		}
	}
	return usable
}

// check returns an error for a plan that has no program.
func (p Plan) check() error {
	switch {
	case p.Shards < 1:
		return fmt.Errorf("plan for %d shards", p.Shards)
	case !slices.Contains(Modes, p.Mode):
		return fmt.Errorf("plan of mode %q", p.Mode)
	case p.Mode == CPU && len(p.CPUs) != p.Shards:
		return fmt.Errorf("%d CPUs for %d shards", len(p.CPUs), p.Shards)
	case len(p.Moved) > maxMoved:
		return fmt.Errorf("%d buckets moved, and the maximum is %d", len(p.Moved), maxMoved)
	case len(p.Sprayed) > maxSprayed:
		return fmt.Errorf("%d flows sprayed, and the maximum is %d", len(p.Sprayed), maxSprayed)
	}
	for bucket, shard := range p.Moved {
		if bucket < 0 || bucket >= p.Buckets() || shard < 0 || shard >= p.Shards {
			return fmt.Errorf("bucket %d of %d on shard %d of %d", bucket, p.Buckets(), shard, p.Shards)
		}
	}
	return nil
}
