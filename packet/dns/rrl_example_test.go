package dns_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet/dns"
)

// A victim's address is forged in a flood of queries for one name.
func ExampleRateLimiter() {
	limiter, err := dns.NewRateLimiter(dns.DefaultRateLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	victim, name := netip.MustParseAddr("192.0.2.1"), []byte("\x07example\x00")
	counts := make(map[dns.Verdict]int)
	for ms := range 1000 { // ten queries a millisecond, for a second
		for range 10 {
			counts[limiter.Decide(victim, dns.RateAnswer, name, time.Duration(ms)*time.Millisecond)]++
		}
	}
	fmt.Println(counts[dns.Send], "sent,", counts[dns.Slip], "slipped,", counts[dns.Drop], "dropped")
	// Output: 399 sent, 4800 slipped, 4801 dropped
}
