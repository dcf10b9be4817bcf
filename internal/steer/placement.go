package steer

import "net/netip"

// Placement compares the shards of flows with the plan. In Auto and Source the shard is a pure
// function of a datagram's source: a flow at another shard shows that the plan's program is not
// in force, or that the datagram was queued before the plan.
type Placement struct {
	Placed    int // flows that were seen and have one shard in the plan, counted once a sketch
	Misplaced int // of these, flows that were seen at another shard
}

// Placement returns the sum over the sketches since ResetPlacement.
func (b *Balancer) Placement() Placement { return b.placement }

// ResetPlacement sets Placement to 0.
func (b *Balancer) ResetPlacement() { b.placement = Placement{} }

// recordPlacement counts a flow that was seen at a shard.
func (b *Balancer) recordPlacement(shard int, source netip.AddrPort) {
	planned, one := b.plan.Shard(source)
	if !one {
		return
	}
	b.placement.Placed++
	if planned != shard && !b.mayHaveExtensionHeaders(shard, source) {
		b.placement.Misplaced++
	}
}

// mayHaveExtensionHeaders reports whether a flow at a shard can be of IPv6 datagrams with
// extension headers. The program of Auto hashes these by address alone: see writer.writeHash.
func (b *Balancer) mayHaveExtensionHeaders(shard int, source netip.AddrPort) bool {
	if b.plan.Mode != Auto || source.Addr().Unmap().Is4() {
		return false
	}
	planned, one := b.plan.Shard(netip.AddrPortFrom(source.Addr(), 0))
	return !one || planned == shard
}
