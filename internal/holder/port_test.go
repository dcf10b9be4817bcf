package holder

import (
	"net"
	"testing"
	"time"
)

// Callers with a maxAge share a list of the sockets.
func TestSocketsOfPort(t *testing.T) {
	listen := func(ip net.IP, port int) *net.UDPConn {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip, Port: port})
		if err != nil {
			t.Skipf("needs a free port on 127.0.0.2: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	port := listen(net.IPv4(127, 0, 0, 1), 0).LocalAddr().(*net.UDPAddr).Port
	now := time.Now().Add(time.Hour) // later than any other list
	want := func(n int, maxAge time.Duration) {
		t.Helper()
		found := -1
		for end := time.Now().Add(20 * time.Second); found != n && time.Now().Before(end); { // /proc/net/udp can miss a socket
			found = len(SocketsOfPort(uint16(port), false, now, maxAge))
		}
		if found != n {
			t.Errorf("%d sockets, not %d", found, n)
		}
	}
	want(1, 0)
	listen(net.IPv4(127, 0, 0, 2), port)
	want(1, time.Minute)
	want(2, 0)
	if n := len(SocketsOfPort(uint16(port), true, now, 0)); n != 0 {
		t.Errorf("%d IPv6 sockets", n)
	}
}
