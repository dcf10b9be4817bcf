package dns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// reference answers by the text of RFC 1034 section 4.3.2, with the additions of RFC 2308, RFC 4592
// and RFC 6672, from a list of records that is searched for each question. A reference has no wire
// form, no templates and no size limits.
type reference struct{ zones []*referenceZone }

type referenceZone struct {
	apex    string
	records []miekg.RR
}

func newReference(t testing.TB, texts ...string) *reference {
	t.Helper()
	r := new(reference)
	for _, text := range texts {
		z := new(referenceZone)
		parser := miekg.NewZoneParser(strings.NewReader(text), "", "")
		seen := make(map[string]bool)
		for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
			if key := strings.ToLower(rr.String()); !seen[key] {
				seen[key] = true
				z.records = append(z.records, rr)
			}
			if rr.Header().Rrtype == miekg.TypeSOA {
				z.apex = strings.ToLower(rr.Header().Name)
			}
		}
		if err := parser.Err(); err != nil {
			t.Fatal(err)
		}
		z.records = slices.DeleteFunc(slices.Clone(z.records), z.isBelowDNAME)
		r.zones = append(r.zones, z)
	}
	for _, child := range r.zones {
		if parent := r.zone(child.apex, miekg.TypeDS); parent != child {
			parent.delegate(child)
		}
	}
	return r
}

// isBelowDNAME reports whether a DNAME record above hides a record.
func (z *referenceZone) isBelowDNAME(rr miekg.RR) bool {
	name := strings.ToLower(rr.Header().Name)
	for _, a := range append([]string{z.apex}, z.ancestors(name)...) {
		if a != z.apex && len(z.at(a, miekg.TypeNS)) > 0 || a == name {
			return false
		}
		if len(z.at(a, miekg.TypeDNAME)) > 0 {
			return true
		}
	}
	return false
}

// delegate adds NS records and addresses of a zone below, unless the zone has NS records for the
// child, or a delegation or DNAME record above.
func (z *referenceZone) delegate(child *referenceZone) {
	for _, a := range append([]string{z.apex}, z.ancestors(child.apex)...) {
		if a != z.apex && len(z.at(a, miekg.TypeNS)) > 0 || a != child.apex && len(z.at(a, miekg.TypeDNAME)) > 0 {
			return
		}
	}
	for _, ns := range child.at(child.apex, miekg.TypeNS) {
		z.records = append(z.records, ns)
		name := ns.(*miekg.NS).Ns
		if miekg.IsSubDomain(child.apex, name) && !slices.ContainsFunc(z.records, func(rr miekg.RR) bool {
			return strings.EqualFold(rr.Header().Name, name) && (rr.Header().Rrtype == miekg.TypeA || rr.Header().Rrtype == miekg.TypeAAAA)
		}) {
			z.records = append(append(z.records, child.at(name, miekg.TypeA)...), child.at(name, miekg.TypeAAAA)...)
		}
	}
}

func (z *referenceZone) at(name string, rtype uint16) []miekg.RR {
	var set []miekg.RR
	for _, rr := range z.records {
		if strings.EqualFold(rr.Header().Name, name) && (rtype == miekg.TypeANY || rr.Header().Rrtype == rtype) {
			set = append(set, rr)
		}
	}
	return set
}

// exists reports whether a name, or a name below, has records.
func (z *referenceZone) exists(name string) bool {
	return slices.ContainsFunc(z.records, func(rr miekg.RR) bool { return miekg.IsSubDomain(name, strings.ToLower(rr.Header().Name)) })
}

// ancestors returns the names from below the apex down to name.
func (z *referenceZone) ancestors(name string) []string {
	var all []string
	for name != z.apex {
		all = append(all, name)
		name = parentText(name)
	}
	slices.Reverse(all)
	return all
}

func parentText(name string) string {
	i, end := miekg.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

func (r *reference) zone(name string, rtype uint16) *referenceZone {
	var best, above *referenceZone
	for _, z := range r.zones {
		if miekg.IsSubDomain(z.apex, name) && (best == nil || miekg.CountLabel(z.apex) > miekg.CountLabel(best.apex)) {
			best = z
		}
	}
	if best != nil && rtype == miekg.TypeDS && best.apex == name {
		for _, z := range r.zones {
			if z != best && miekg.IsSubDomain(z.apex, name) && (above == nil || miekg.CountLabel(z.apex) > miekg.CountLabel(above.apex)) {
				above = z
			}
		}
	}
	if above != nil {
		return above
	}
	return best
}

type referenceReply struct {
	rcode    int
	aa       bool
	sections [3][]string
}

func renamed(rr miekg.RR, name string) string {
	rr = miekg.Copy(rr)
	rr.Header().Name = name
	return strings.ToLower(formatRecord(rr))
}

func (r *reference) resolve(name string, rtype uint16) referenceReply {
	name = strings.ToLower(name)
	z := r.zone(name, rtype)
	if z == nil {
		return referenceReply{rcode: miekg.RcodeRefused}
	}
	reply := referenceReply{aa: true}
	soa := z.at(z.apex, miekg.TypeSOA)[0].(*miekg.SOA)
	negative := miekg.Copy(soa)
	negative.Header().Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	visited := map[string]bool{}
next:
	for len(visited) <= maxChain && !visited[name] && miekg.IsSubDomain(z.apex, name) {
		visited[name] = true
		encloser := z.apex
		for _, a := range append([]string{z.apex}, z.ancestors(name)...) {
			if !z.exists(a) {
				break
			}
			encloser = a
			if cut := z.at(a, miekg.TypeNS); a != z.apex && len(cut) > 0 && !(a == name && rtype == miekg.TypeDS) {
				reply.aa = len(reply.sections[0]) > 0
				for _, rr := range cut {
					reply.sections[1] = append(reply.sections[1], renamed(rr, a))
				}
				r.addresses(z, &reply, cut, cut[0].Header().Name)
				return reply
			}
			if dname := z.at(a, miekg.TypeDNAME); a != name && len(dname) > 0 {
				if line := renamed(dname[0], a); !slices.Contains(reply.sections[0], line) {
					reply.sections[0] = append(reply.sections[0], line)
				}
				to := strings.TrimSuffix(name, a) + strings.ToLower(dname[0].(*miekg.DNAME).Target)
				if a == "." {
					to = strings.TrimSuffix(name, ".") + "." + strings.ToLower(dname[0].(*miekg.DNAME).Target)
				}
				if len(to) > 254 {
					reply.rcode = miekg.RcodeYXDomain
					return reply
				}
				reply.sections[0] = append(reply.sections[0], fmt.Sprintf("%s %d cname %s", name, dname[0].Header().Ttl, to))
				if rtype == miekg.TypeCNAME {
					return reply
				}
				name = to
				continue next
			}
		}
		source := name
		if encloser != name {
			source = "*." + strings.TrimPrefix(encloser, ".")
			if !z.exists(source) {
				reply.rcode = miekg.RcodeNameError
				reply.sections[1] = append(reply.sections[1], renamed(negative, z.apex))
				return reply
			}
		}
		if cut := z.at(source, miekg.TypeNS); source != name && len(cut) > 0 && rtype != miekg.TypeDS { // as in Knot
			reply.aa = len(reply.sections[0]) > 0
			for _, rr := range cut {
				reply.sections[1] = append(reply.sections[1], renamed(rr, source))
			}
			r.addresses(z, &reply, cut, source)
			return reply
		}
		cut := source != z.apex && len(z.at(source, miekg.TypeNS)) > 0 // only DS records belong to the zone
		if alias := z.at(source, miekg.TypeCNAME); len(alias) > 0 && !cut && rtype != miekg.TypeCNAME && rtype != miekg.TypeANY {
			reply.sections[0] = append(reply.sections[0], renamed(alias[0], name))
			name = strings.ToLower(alias[0].(*miekg.CNAME).Target)
			continue
		}
		set := z.at(source, rtype)
		if rtype == miekg.TypeANY && len(set) > 0 {
			lowest := slices.MinFunc(set, func(a, b miekg.RR) int { return int(a.Header().Rrtype) - int(b.Header().Rrtype) })
			set = z.at(source, lowest.Header().Rrtype)
		}
		for _, rr := range set {
			if line := renamed(rr, name); !slices.Contains(reply.sections[0], line) { // a DNAME of the chain
				reply.sections[0] = append(reply.sections[0], line)
			}
		}
		if len(set) == 0 {
			reply.sections[1] = append(reply.sections[1], renamed(negative, z.apex))
		}
		r.addresses(z, &reply, set, name)
		return reply
	}
	return reply
}

// addresses adds the addresses of the names in a set, with glue. The set has ownerName in the reply.
func (r *reference) addresses(z *referenceZone, reply *referenceReply, set []miekg.RR, ownerName string) {
	for _, rr := range set {
		var name string
		types := []uint16{miekg.TypeA, miekg.TypeAAAA}
		switch rr := rr.(type) {
		case *miekg.NS:
			name = rr.Ns
		case *miekg.MX:
			name = rr.Mx
		case *miekg.SRV:
			name = rr.Target
		case *miekg.SVCB:
			name, types = rr.Target, append(types, miekg.TypeSVCB)
		case *miekg.HTTPS:
			name, types = rr.Target, append(types, miekg.TypeHTTPS)
		}
		if rr.Header().Rrtype != miekg.TypeNS && name == "." {
			if ownService(rr) {
				r.addSets(z, reply, rr.Header().Name, ownerName, types[:2])
			}
			continue
		}
		if name = strings.ToLower(name); name == "" || !miekg.IsSubDomain(z.apex, name) {
			continue
		}
		source, below := name, false
		for _, a := range z.ancestors(name) {
			below = below || len(z.at(a, miekg.TypeNS)) > 0
			if a != name && !below && len(z.at(a, miekg.TypeDNAME)) > 0 {
				source = ""
			}
		}
		if len(z.at(z.apex, miekg.TypeDNAME)) > 0 && name != z.apex && !below {
			source = ""
		}
		if source != "" && !z.exists(source) && !below {
			for source = parentText(source); !z.exists(source); source = parentText(source) {
			}
			source = "*." + strings.TrimPrefix(source, ".")
		}
		if source != "" && !(source == rr.Header().Name && slices.ContainsFunc(set, ownService)) {
			r.addSets(z, reply, source, name, types)
		}
	}
}

// addSets adds the records of source to the additional section, as the records of name.
func (r *reference) addSets(z *referenceZone, reply *referenceReply, source, name string, types []uint16) {
	for _, rtype := range types {
		for _, a := range z.at(source, rtype) {
			if line := renamed(a, name); !slices.Contains(reply.sections[2], line) {
				reply.sections[2] = append(reply.sections[2], line)
			}
		}
	}
}

// ownService reports whether a record is for a service at its owner's name (RFC 9460 2.5.2).
func ownService(rr miekg.RR) bool {
	switch rr := rr.(type) {
	case *miekg.SVCB:
		return rr.Priority > 0 && rr.Target == "."
	case *miekg.HTTPS:
		return rr.Priority > 0 && rr.Target == "."
	}
	return false
}

// String returns the reply with sorted sections, for comparison.
func (r referenceReply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s aa=%v", miekg.RcodeToString[r.rcode], r.aa)
	for i, section := range r.sections {
		slices.Sort(section)
		for _, line := range section {
			fmt.Fprintf(&b, "\n%d %s", i, line)
		}
	}
	return b.String()
}

func sections(m *miekg.Msg) referenceReply {
	r := referenceReply{rcode: m.Rcode, aa: m.Authoritative}
	for i, section := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype != miekg.TypeOPT {
				r.sections[i] = append(r.sections[i], strings.ToLower(formatRecord(rr)))
			}
		}
	}
	return r
}

var referenceTypes = []string{"A", "AAAA", "NS", "CNAME", "SOA", "MX", "TXT", "SRV", "DNAME", "DS", "ANY", "SVCB", "TYPE65280"}

func compare(t *testing.T, z *Zones, r *reference, name, rtype, zones string) {
	t.Helper()
	m := askZones(t, z, packQuestion(t, name+" "+rtype, false, 0), maxTCPSize)
	got, want := sections(m), r.resolve(name, m.Question[0].Qtype)
	if got.String() != want.String() {
		t.Fatalf("%s %s\n got %s\nwant %s\nof %s", name, rtype, got, want, zones)
	}
	if m.Truncated {
		t.Errorf("%s %s: truncated", name, rtype)
	}
}

func TestReferenceOfTables(t *testing.T) {
	z, r := mustZones(t, testZone, childZone, wildcardZone), newReference(t, testZone, childZone, wildcardZone)
	names := []string{".", "example.", "x.example.", "com."}
	for _, zone := range r.zones {
		for _, rr := range zone.records {
			name, above := rr.Header().Name, strings.TrimPrefix(parentText(rr.Header().Name), ".")
			names = append(names, name, "x."+name, "x.y."+name, "*."+name, "a."+above, parentText(name))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		for _, rtype := range referenceTypes {
			compare(t, z, r, name, rtype, "the tables' zones")
		}
	}
}

// randomZone returns a zone with few names and many kinds of records.
func randomZone(random *rand.Rand, apex string) string {
	labels := []string{"a", "b", "c", "*"}
	name := func() string {
		n := ""
		for range random.IntN(4) {
			n += labels[random.IntN(len(labels))] + "."
		}
		if random.IntN(12) == 0 {
			return n + "elsewhere."
		}
		return n + apex
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s 100 SOA %s %s 1 2 3 4 50\n%s 100 NS %s\n", apex, name(), name(), apex, name())
	for range 3 + random.IntN(12) {
		owner := name()
		for !strings.HasSuffix(owner, apex) {
			owner = name()
		}
		switch random.IntN(10) {
		case 0, 1:
			fmt.Fprintf(&b, "%s 100 CNAME %s\n", owner, name())
		case 2:
			fmt.Fprintf(&b, "%s 100 NS %s\n%s 100 NS %s\n", owner, name(), owner, name())
		case 3:
			fmt.Fprintf(&b, "%s 100 MX 1 %s\n%s 100 MX 2 %s\n", owner, name(), owner, name())
		case 4:
			fmt.Fprintf(&b, "%s 100 DNAME %s\n", owner, name())
		case 5:
			fmt.Fprintf(&b, "%s 100 AAAA 2001:db8::%d\n", owner, random.IntN(9))
		case 6:
			fmt.Fprintf(&b, "%s 100 SRV 1 2 3 %s\n", owner, name())
		case 7:
			fmt.Fprintf(&b, "%s 100 SVCB 0 %s\n%s 100 SVCB 1 %s port=1\n", owner, name(), owner, name())
			if random.IntN(2) == 0 {
				fmt.Fprintf(&b, "%s 100 SVCB 2 .\n%s 100 A 192.0.2.100\n", owner, owner)
			}
		default:
			fmt.Fprintf(&b, "%s 100 A 192.0.2.%d\n", owner, random.IntN(99))
		}
	}
	return b.String()
}

func TestReferenceOfRandomZones(t *testing.T) {
	tried, loaded := 3000, 0
	if testing.Short() {
		tried = 300
	}
	random := rand.New(rand.NewPCG(1, 2))
	labels := []string{"a", "b", "c", "*", "x"}
	for range tried {
		texts := []string{randomZone(random, "t.")}
		if random.IntN(3) == 0 {
			child := labels[random.IntN(3)] + ".t."
			if random.IntN(2) == 0 {
				texts[0] += child + " 100 NS ns." + child + "\n"
			}
			texts = append(texts, randomZone(random, child))
		}
		z, err := newZones(texts...)
		if err != nil {
			continue
		}
		loaded++
		r := newReference(t, texts...)
		for range 60 {
			name := "t."
			for range random.IntN(5) {
				name = labels[random.IntN(len(labels))] + "." + name
			}
			compare(t, z, r, name, referenceTypes[random.IntN(len(referenceTypes))], strings.Join(texts, "\n"))
		}
	}
	if loaded < tried/20 {
		t.Errorf("only %d of %d zones were accepted", loaded, tried)
	}
	t.Logf("%d of %d zones were accepted", loaded, tried)
}
