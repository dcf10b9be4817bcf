package record_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet/record"
)

func ExampleTail() {
	tail := record.NewTail("lab", 0)
	receivedAt := time.Date(2023, 10, 11, 22, 14, 15, 3_000_000, time.UTC)

	buf := []byte(`{"message":`)
	buf = record.AppendString(buf, []byte("door \"3\" open\x00"))
	buf = tail.Append(buf, receivedAt, netip.MustParseAddrPort("[2001:db8::7]:40000"), "", "", false)
	fmt.Printf("%s", buf)
	// Output:
	// {"message":"door \"3\" open\u0000","received_at":"2023-10-11T22:14:15.003000Z","source":"[2001:db8::7]:40000","listener":"lab","shard":0}
}
