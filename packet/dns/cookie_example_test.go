package dns_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet/dns"
)

// A client sends its own cookie, learns the server's and is known from then
// on (RFC 9018 A.1).
func ExampleCookies() {
	secret, err := dns.ParseSecret("e5e973e5a6b2a43f48e7dc849e37bfcf")
	if err != nil {
		fmt.Println(err)
		return
	}
	cookies := dns.NewCookies(secret)
	client, now := netip.MustParseAddr("198.51.100.100"), time.Unix(1559731985, 0)

	option := []byte{0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57}
	fmt.Println(cookies.Check(option, client, now) == dns.CookieClient)
	option = cookies.Append(nil, option, client, now)
	fmt.Println(hex.EncodeToString(option))
	fmt.Println(cookies.Check(option, client, now.Add(time.Minute)) == dns.CookieGood)
	// Output:
	// true
	// 2464c4abcf10c957010000005cf79f111f8130c3eee29480
	// true
}
