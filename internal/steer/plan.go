package steer

import (
	"fmt"
	"net/netip"
	"slices"
)

// leastBuckets is how many parts the flows of Auto are divided into at the
// least: with 4 shards a move is then 1.6% of a shard's flows.
const leastBuckets = 256

// Bounds of a plan, so that its program stays below the kernel's 4096
// instructions (BPF_MAXINSNS), and below the 20 KiB that net.core.optmem_max
// allowed it before Linux 6.9, in the kernel's own instructions. Shards that
// are avoided come on top: 50 of them fit with all of these, 400 without.
const (
	maxMoved   = 512
	maxSprayed = 32
)

// Plan says which shard gets which datagram. Shards are numbered as their
// sockets joined the SO_REUSEPORT group, from 0.
type Plan struct {
	Mode   Mode
	Shards int
	CPUs   []int  // that each shard is pinned to, for CPU
	Seed   uint32 // of the flow hash: who doesn't know it can't aim at a shard

	// Avoid are shards that get nothing, where the mode is not Hash and there
	// are others.
	Avoid []int
	// Moved are the shards of those buckets that are not at their home, for
	// Auto.
	Moved map[int]int
	// Sprayed are the hashes of flows whose datagrams go to any shard, for
	// Auto. Another flow of the same 32 bits goes with it.
	Sprayed []uint32
}

// Buckets returns how many parts Auto divides flows into: 256, or the next
// multiple of Shards, so that each shard is the home of as many; and at least
// 4 for each shard.
func (p Plan) Buckets() int { return p.Shards * max(4, (leastBuckets+p.Shards-1)/p.Shards) }

// Bucket returns the bucket of a flow's hash.
func (p Plan) Bucket(hash uint32) int { return int(hash % uint32(p.Buckets())) }

// Home returns the shard that has a bucket until it is moved.
func (p Plan) Home(bucket int) int { return bucket % p.Shards }

// Shard returns the shard of a flow in Auto and Source, and false where its
// datagrams go to several.
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
	shard := int(hash % uint32(p.Shards)) // the bucket's home too: Buckets is a multiple of Shards
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

// usable returns the shards that get datagrams: all, if all are to be avoided.
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

// check refuses what no program could do.
func (p Plan) check() error {
	switch {
	case p.Shards < 1:
		return fmt.Errorf("a plan for %d shards", p.Shards)
	case !slices.Contains(Modes, p.Mode):
		return fmt.Errorf("a plan of mode %q", p.Mode)
	case p.Mode == CPU && len(p.CPUs) != p.Shards:
		return fmt.Errorf("%d CPUs for %d shards", len(p.CPUs), p.Shards)
	case len(p.Moved) > maxMoved:
		return fmt.Errorf("%d buckets moved, of which there may be %d", len(p.Moved), maxMoved)
	case len(p.Sprayed) > maxSprayed:
		return fmt.Errorf("%d flows sprayed, of which there may be %d", len(p.Sprayed), maxSprayed)
	}
	for bucket, shard := range p.Moved {
		if bucket < 0 || bucket >= p.Buckets() || shard < 0 || shard >= p.Shards {
			return fmt.Errorf("bucket %d of %d on shard %d of %d", bucket, p.Buckets(), shard, p.Shards)
		}
	}
	return nil
}
