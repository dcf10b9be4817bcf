package steer

import "net/netip"

// Placement says whether flows arrive where the plan sends them. A plan's program is a pure
// function of a datagram's source in Auto and Source, so a flow at another shard shows that the
// plan is not in force, or that the datagram was queued before the plan was.
type Placement struct {
	Placed    int // flows that were seen and have one shard in the plan, each once a sketch
	Misplaced int // of these, the flows that were seen at another shard
}

// Placement returns what the sketches since ResetPlacement show.
func (c *Controller) Placement() Placement { return c.placement }

// ResetPlacement forgets what sketches have shown.
func (c *Controller) ResetPlacement() { c.placement = Placement{} }

// observePlacement counts a flow that was seen at a shard.
func (c *Controller) observePlacement(shard int, source netip.AddrPort) {
	planned, one := c.plan.Shard(source)
	if !one {
		return
	}
	c.placement.Placed++
	if planned != shard && !c.hasExtensionHeaders(shard, source) {
		c.placement.Misplaced++
	}
}

// hasExtensionHeaders says whether the flow can be one of IPv6 datagrams with extension headers.
// The program of Auto hashes those by address alone: see writer.writeHash.
func (c *Controller) hasExtensionHeaders(shard int, source netip.AddrPort) bool {
	if c.plan.Mode != Auto || source.Addr().Unmap().Is4() {
		return false
	}
	planned, one := c.plan.Shard(netip.AddrPortFrom(source.Addr(), 0))
	return !one || planned == shard
}
