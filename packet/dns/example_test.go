package dns_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/udpshard/udpshard/packet/dns"
)

const zone = `$ORIGIN example.org.
$TTL 3600
@    SOA ns1 hostmaster 1 7200 3600 1209600 300
     NS  ns1
ns1  A   192.0.2.1
www  A   192.0.2.80
`

// query asks for the addresses of www.example.org.
var query = []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01")

// loadZone loads the zone from a file.
func loadZone() (*dns.Zones, error) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "example.zone")
	if err := os.WriteFile(file, []byte(zone), 0o600); err != nil {
		return nil, err
	}
	return dns.LoadZones(file)
}

func ExampleZones() {
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	var (
		q     dns.Query
		reply []byte
	)
	if rcode, ok := q.Decode(query); ok {
		reply, rcode = zones.Append(reply[:0], &q, rcode, dns.MostUDP, nil)
		fmt.Println(rcode, netip.AddrFrom4([4]byte(reply[len(reply)-4:])))
	}
	// Output:
	// NOERROR 192.0.2.80
}

func ExampleZones_List() {
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, z := range zones.List() {
		fmt.Printf("%s serial %d, %d records, from %s\n", z.Origin, z.Serial, z.Records, filepath.Base(z.File))
	}
	// Output:
	// example.org. serial 1, 4 records, from example.zone
}

func ExampleQuery() {
	var q dns.Query
	rcode, ok := q.Decode(query)
	fmt.Printf("%s %s %s, %v %v\n", dns.AppendName(nil, q.Name), dns.AppendClass(nil, q.Class), dns.AppendType(nil, q.Type), rcode, ok)
	// Output:
	// www.example.org. IN A, NOERROR true
}

func ExampleZones_WithSinkhole() {
	zones, err := dns.LoadZones()
	if err != nil {
		fmt.Println(err)
		return
	}
	zones = zones.WithSinkhole([]netip.Addr{netip.MustParseAddr("192.0.2.53")})
	var q dns.Query
	rcode, _ := q.Decode(query)
	reply, rcode := zones.Append(nil, &q, rcode, dns.MostUDP, nil)
	fmt.Println(rcode, netip.AddrFrom4([4]byte(reply[len(reply)-4:])))
	// Output:
	// NOERROR 192.0.2.53
}
