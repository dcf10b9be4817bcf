package dns

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func cookieBytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseSecret(t testing.TB, s string) Secret {
	t.Helper()
	parsed, err := ParseSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// The secrets of RFC 9018, Appendix A.
const (
	secretA1       = "e5e973e5a6b2a43f48e7dc849e37bfcf" // and A.2, A.3
	secretA4       = "445536bcd2513298075a5d379663c962"
	secretA4Before = "dd3bdf9344b678b185a6f5cb60fca715"
)

func TestCookieVectors(t *testing.T) {
	for _, test := range []struct {
		name         string // the section of RFC 9018
		secret       string
		former       []string
		client       string
		option       string
		now          int64
		status       cookieStatus
		answer       string
		statusIssued cookieStatus // at the time in the option
	}{
		{
			name: "A.1 learning a new server cookie", secret: secretA1, client: "198.51.100.100",
			option: "2464c4abcf10c957", now: 1559731985, status: cookieClient, statusIssued: cookieClient,
			answer: "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		},
		{
			name: "A.2 the same client, 40 minutes later", secret: secretA1, client: "198.51.100.100",
			option: "2464c4abcf10c957010000005cf79f111f8130c3eee29480", now: 1559734385, status: cookieGood, statusIssued: cookieGood,
			answer: "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
		},
		{ // the cookie is nearly two hours old: section 4.3 recommends to refuse such a cookie
			name: "A.3 another client, reserved bytes that are not zero", secret: secretA1, client: "203.0.113.203",
			option: "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", now: 1559734700, status: cookieBad, statusIssued: cookieGood,
			answer: "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
		},
		{
			name: "A.4 IPv6, rolled-over secret", secret: secretA4, former: []string{secretA4Before}, client: "2001:db8:220:1:59de:d0f4:8769:82b8",
			option: "22681ab97d52c298010000005cf7c57926556bd0934c72f8", now: 1559741961, status: cookieGood, statusIssued: cookieGood,
			answer: "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
		},
		{
			name: "A.4 without the former secret", secret: secretA4, client: "2001:db8:220:1:59de:d0f4:8769:82b8",
			option: "22681ab97d52c298010000005cf7c57926556bd0934c72f8", now: 1559741961, status: cookieBad, statusIssued: cookieBad,
			answer: "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
		},
	} {
		var former []Secret
		for _, s := range test.former {
			former = append(former, parseSecret(t, s))
		}
		c := NewCookies(parseSecret(t, test.secret), former...)
		client, option := netip.MustParseAddr(test.client), cookieBytes(t, test.option)
		if got := c.check(option, client, time.Unix(test.now, 0)); got != test.status {
			t.Errorf("%s: status %d, want %d", test.name, got, test.status)
		}
		issued := time.Unix(test.now, 0)
		if len(option) == goodCookieLen {
			issued = time.Unix(int64(option[12])<<24|int64(option[13])<<16|int64(option[14])<<8|int64(option[15]), 0)
		}
		if got := c.check(option, client, issued); got != test.statusIssued {
			t.Errorf("%s: status %d when it was issued, want %d", test.name, got, test.statusIssued)
		}
		if got := c.appendCookie(nil, option, client, time.Unix(test.now, 0)); hex.EncodeToString(got) != test.answer {
			t.Errorf("%s: answer %x, want %s", test.name, got, test.answer)
		}
	}
}

func TestCookieLengths(t *testing.T) {
	c, client, now := NewCookies(NewSecret()), netip.MustParseAddr("192.0.2.1"), time.Unix(1_800_000_000, 0)
	if got := c.check(nil, client, now); got != cookieNone {
		t.Errorf("no option: %d", got)
	}
	for n := range 64 {
		want, answer := cookieMalformed, 0
		switch { // RFC 7873 5.2.2
		case n == 8:
			want, answer = cookieClient, 24
		case 16 <= n && n <= 40:
			want, answer = cookieBad, 24
		}
		if got := c.check(make([]byte, n), client, now); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
		if got := c.appendCookie([]byte("before"), make([]byte, n), client, now); len(got) != 6+answer || string(got[:6]) != "before" {
			t.Errorf("%d bytes: answer %x", n, got)
		}
	}
}

// Cookies with a version other than 1 (RFC 9018) are bad, even with a correct hash.
func TestCookieOfAnotherVersion(t *testing.T) {
	c, client, now := NewCookies(NewSecret()), netip.MustParseAddr("192.0.2.1"), time.Unix(1_800_000_000, 0)
	cookie := c.appendCookie(nil, make([]byte, 8), client, now)
	for version, want := range []cookieStatus{cookieBad, cookieGood, cookieBad} {
		cookie[clientCookieLen] = byte(version)
		hash := c.keys[0].hash([16]byte(cookie), client)
		copy(cookie[16:], hash[:])
		if got := c.check(cookie, client, now); got != want {
			t.Errorf("version %d: %d, want %d", version, got, want)
		}
	}
}

func TestCookieWindow(t *testing.T) {
	c, client := NewCookies(NewSecret()), netip.MustParseAddr("192.0.2.1")
	for _, issued := range []time.Time{time.Unix(1_800_000_000, 0), time.Unix(1<<32-100, 0)} { // 2027, and where the time wraps
		cookie := c.appendCookie(nil, make([]byte, 8), client, issued)
		for _, test := range []struct {
			after time.Duration
			want  cookieStatus
		}{
			{0, cookieGood},
			{time.Hour, cookieGood},
			{time.Hour + time.Second, cookieBad},
			{-5 * time.Minute, cookieGood},
			{-5*time.Minute - time.Second, cookieBad},
			{1 << 31 * time.Second, cookieBad},
		} {
			if got := c.check(cookie, client, issued.Add(test.after)); got != test.want {
				t.Errorf("%v after: %d, want %d", test.after, got, test.want)
			}
		}
	}
}

func TestCookieBelongsToItsClient(t *testing.T) {
	c, now := NewCookies(NewSecret()), time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		issued, asks string
		want         cookieStatus
	}{
		{"192.0.2.1", "192.0.2.1", cookieGood},
		{"192.0.2.1", "192.0.2.2", cookieBad},
		{"192.0.2.1", "::ffff:192.0.2.1", cookieGood},
		{"::ffff:192.0.2.1", "192.0.2.1", cookieGood},
		{"2001:db8::1", "2001:db8::2", cookieBad},
		{"fe80::1%lo", "fe80::1", cookieGood},
	} {
		option := c.appendCookie(nil, []byte("8 bytes."), netip.MustParseAddr(test.issued), now)
		if got := c.check(option, netip.MustParseAddr(test.asks), now); got != test.want {
			t.Errorf("issued to %s, from %s: %d, want %d", test.issued, test.asks, got, test.want)
		}
	}
	// No bit of a cookie can be changed.
	client := netip.MustParseAddr("192.0.2.1")
	option := c.appendCookie(nil, []byte("8 bytes."), client, now)
	for bit := range 8 * len(option) {
		option[bit/8] ^= 1 << (bit % 8)
		if got := c.check(option, client, now); got != cookieBad {
			t.Errorf("bit %d is other: %d", bit, got)
		}
		option[bit/8] ^= 1 << (bit % 8)
	}
}

func TestCookiesOff(t *testing.T) {
	var c *Cookies
	if got := c.check(make([]byte, 3), netip.Addr{}, time.Time{}); got != cookieNone {
		t.Errorf("status %d", got)
	}
	if got := c.appendCookie(nil, make([]byte, 8), netip.Addr{}, time.Time{}); got != nil {
		t.Errorf("answer %x", got)
	}
}

func TestParseSecret(t *testing.T) {
	if s, err := ParseSecret("000102030405060708090A0B0c0d0e0f"); err != nil || s != (Secret{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) {
		t.Errorf("%x, %v", s, err)
	}
	for _, text := range []string{"", secretA1[1:], secretA1 + "00", "zz" + secretA1[2:]} {
		if _, err := ParseSecret(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if a, b := NewSecret(), NewSecret(); a == b {
		t.Error("two secrets are the same")
	}
}

// The answer's option may overwrite the query's option.
func TestCookieInPlace(t *testing.T) {
	c, client, now := NewCookies(parseSecret(t, secretA1)), netip.MustParseAddr("198.51.100.100"), time.Unix(1559731985, 0)
	for offset := range 8 {
		buf := append(make([]byte, offset, 64), "\x24\x64\xc4\xab\xcf\x10\xc9\x57"...)
		if got := c.appendCookie(buf[:0], buf[offset:], client, now); hex.EncodeToString(got) != "2464c4abcf10c957010000005cf79f111f8130c3eee29480" {
			t.Errorf("offset %d: %x", offset, got)
		}
	}
}

func TestCookieThreads(t *testing.T) {
	c, now := NewCookies(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	var wait sync.WaitGroup
	for thread := range byte(4) {
		wait.Go(func() {
			client := netip.AddrFrom4([4]byte{192, 0, 2, thread})
			for range 1000 {
				if got := c.check(c.appendCookie(nil, make([]byte, 8), client, now), client, now); got != cookieGood {
					t.Errorf("status %d", got)
				}
			}
		})
	}
	wait.Wait()
}

func TestCookieNoAllocation(t *testing.T) {
	c, now := NewCookies(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	buf := make([]byte, 0, 24)
	for _, client := range []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")} {
		option := c.appendCookie(nil, make([]byte, 8), client, now)
		if n := testing.AllocsPerRun(100, func() {
			c.check(option, client, now)
			buf = c.appendCookie(buf[:0], option, client, now)
		}); n != 0 {
			t.Errorf("%s: %v allocations", client, n)
		}
	}
}

func FuzzCookies(f *testing.F) {
	f.Add([]byte{}, []byte{192, 0, 2, 1}, int64(0))
	f.Add(cookieBytes(f, "2464c4abcf10c957"), []byte{198, 51, 100, 100}, int64(1559731985))
	f.Add(cookieBytes(f, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"), []byte{198, 51, 100, 100}, int64(1559734385))
	f.Add(cookieBytes(f, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"), []byte{203, 0, 113, 203}, int64(1559727985))
	f.Add(cookieBytes(f, "22681ab97d52c298010000005cf7c57926556bd0934c72f8"), netip.MustParseAddr("2001:db8:220:1:59de:d0f4:8769:82b8").AsSlice(), int64(1559741961))
	f.Add(make([]byte, 41), make([]byte, 16), int64(1<<32))
	c := NewCookies(parseSecret(f, secretA1), parseSecret(f, secretA4Before))
	f.Fuzz(func(t *testing.T, option, address []byte, unix int64) {
		client, _ := netip.AddrFromSlice(address)
		now := time.Unix(unix, 0)
		status := c.check(option, client, now)
		answer := c.appendCookie(nil, option, client, now)
		if answered := status != cookieNone && status != cookieMalformed; answered != (len(answer) == goodCookieLen) || !answered && len(answer) > 0 {
			t.Fatalf("status %d, answer %x", status, answer)
		}
		if len(answer) == 0 {
			return
		}
		if !bytes.Equal(answer[:clientCookieLen], option[:clientCookieLen]) {
			t.Fatalf("the client's cookie is %x in the answer", answer[:clientCookieLen])
		}
		if got := c.check(answer, client, now); got != cookieGood {
			t.Fatalf("the answer's cookie has status %d", got)
		}
	})
}

func BenchmarkCookies(b *testing.B) {
	c, now := NewCookies(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	client := netip.MustParseAddr("2001:db8::1")
	good := c.appendCookie(nil, make([]byte, 8), client, now)
	bad := bytes.Clone(good)
	bad[23] ^= 1
	for _, test := range []struct {
		name   string
		option []byte
	}{{"none", nil}, {"good", good}, {"bad, two secrets", bad}} {
		b.Run("check/"+test.name, func(b *testing.B) {
			for b.Loop() {
				c.check(test.option, client, now)
			}
		})
	}
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, 24)
		for b.Loop() {
			buf = c.appendCookie(buf[:0], good, client, now)
		}
	})
}
