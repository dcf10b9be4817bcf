package dns_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/packet/dns/cookie"
)

const zone = `$ORIGIN example.org.
$TTL 3600
@    SOA ns1 hostmaster 1 7200 3600 1209600 300
     NS  ns1
ns1  A   192.0.2.1
www  A   192.0.2.80
`

// query asks for the addresses of www.example.org.
const query = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"

var client = netip.MustParseAddrPort("198.51.100.100:5353")

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
	zones := dns.Load([]dns.Source{{File: file}}, nil)
	for _, failed := range zones.Failed() {
		return nil, failed
	}
	return zones, nil
}

// A shard's handler answers a batch of queries. With package shard, Handler is Config.Handler, and
// Config.ReplySize is MaxUDPSize.
func ExampleServer_Handler() {
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	server := dns.NewServer(zones, dns.Options{})
	handler := server.Handler(0)

	batch := packet.NewBatch(1, dns.MaxUDPSize, nil)
	batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: []byte(query), Source: client})
	handler.Handle(batch)

	reply := batch.Replies[0].Payload
	fmt.Println(netip.AddrFrom4([4]byte(reply[len(reply)-4:])), server.Counts().Rcodes["NOERROR"])
	// Output:
	// 192.0.2.80 1
}

func ExampleServer_Stream() {
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	stream := dns.NewServer(zones, dns.Options{Listener: "dns"}).Stream()
	reply := stream.Answer(nil, []byte(query), client)
	fmt.Println(netip.AddrFrom4([4]byte(reply[len(reply)-4:])))
	// Output:
	// 192.0.2.80
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

func ExampleZones_WithSinkhole() {
	zones := dns.Load(nil, nil)
	zones = zones.WithSinkhole([]netip.Addr{netip.MustParseAddr("192.0.2.53")})
	reply := dns.NewServer(zones, dns.Options{}).Stream().Answer(nil, []byte(query), client)
	fmt.Println(netip.AddrFrom4([4]byte(reply[len(reply)-4:])))
	// Output:
	// 192.0.2.53
}

// A client sends a cookie of eight bytes, and learns the server's cookie from the reply.
func ExampleOptions_cookies() {
	secret, err := cookie.ParseSecret("e5e973e5a6b2a43f48e7dc849e37bfcf")
	if err != nil {
		fmt.Println(err)
		return
	}
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	server := dns.NewServer(zones, dns.Options{Cookies: cookie.NewKeys(secret)})
	// The query has an OPT record with a COOKIE option (RFC 7873 section 4).
	const opt = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08\x24\x64\xc4\xab\xcf\x10\xc9\x57"
	withCookie := append([]byte(query), opt...)
	withCookie[11] = 1 // record in the additional section

	batch := packet.NewBatch(1, dns.MaxUDPSize, nil)
	batch.Reset(time.Unix(1559731985, 0))
	batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: withCookie, Source: client})
	server.Handler(0).Handle(batch)

	reply := batch.Replies[0].Payload
	fmt.Println(hex.EncodeToString(reply[len(reply)-24:])) // as in RFC 9018 A.1
	// Output:
	// 2464c4abcf10c957010000005cf79f111f8130c3eee29480
}

// A victim's address is forged in a flood of queries for one name.
func ExampleRateLimiter() {
	zones, err := loadZone()
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := dns.NewRateLimiter(dns.DefaultRateLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	server := dns.NewServer(zones, dns.Options{Limits: limiter})
	handler, batch, start := server.Handler(0), packet.NewBatch(10, dns.MaxUDPSize, nil), time.Now()
	for ms := range 1000 { // ten queries a millisecond, for a second
		batch.Reset(start.Add(time.Duration(ms) * time.Millisecond))
		for range 10 {
			batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: []byte(query), Source: client})
		}
		handler.Handle(batch)
	}
	counts := server.Counts()
	fmt.Println(10_000-counts.Dropped-counts.Slipped, "answered,", counts.Slipped, "truncated,", counts.Dropped, "dropped")
	// Output: 399 answered, 4800 truncated, 4801 dropped
}
