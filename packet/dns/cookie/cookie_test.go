package cookie

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

// check returns the status of a query's option.
func (k *Keys) check(option []byte, client netip.Addr, now time.Time) Status {
	_, status := k.Answer(nil, option, client, now)
	return status
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
		status       Status
		answer       string
		statusIssued Status // at the time in the option
	}{
		{
			name: "A.1 learning a new server cookie", secret: secretA1, client: "198.51.100.100",
			option: "2464c4abcf10c957", now: 1559731985, status: Client, statusIssued: Client,
			answer: "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		},
		{
			name: "A.2 the same client, 40 minutes later", secret: secretA1, client: "198.51.100.100",
			option: "2464c4abcf10c957010000005cf79f111f8130c3eee29480", now: 1559734385, status: Good, statusIssued: Good,
			answer: "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
		},
		{ // the cookie is nearly two hours old: section 4.3 recommends to refuse such a cookie
			name: "A.3 another client, reserved bytes that are not zero", secret: secretA1, client: "203.0.113.203",
			option: "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", now: 1559734700, status: Bad, statusIssued: Good,
			answer: "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
		},
		{
			name: "A.4 IPv6, rolled-over secret", secret: secretA4, former: []string{secretA4Before}, client: "2001:db8:220:1:59de:d0f4:8769:82b8",
			option: "22681ab97d52c298010000005cf7c57926556bd0934c72f8", now: 1559741961, status: Good, statusIssued: Good,
			answer: "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
		},
		{
			name: "A.4 without the former secret", secret: secretA4, client: "2001:db8:220:1:59de:d0f4:8769:82b8",
			option: "22681ab97d52c298010000005cf7c57926556bd0934c72f8", now: 1559741961, status: Bad, statusIssued: Bad,
			answer: "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
		},
	} {
		var former []Secret
		for _, s := range test.former {
			former = append(former, parseSecret(t, s))
		}
		c := NewKeys(parseSecret(t, test.secret), former...)
		client, option := netip.MustParseAddr(test.client), cookieBytes(t, test.option)
		if got := c.check(option, client, time.Unix(test.now, 0)); got != test.status {
			t.Errorf("%s: status %d, want %d", test.name, got, test.status)
		}
		issued := time.Unix(test.now, 0)
		if len(option) == Size {
			issued = time.Unix(int64(option[12])<<24|int64(option[13])<<16|int64(option[14])<<8|int64(option[15]), 0)
		}
		if got := c.check(option, client, issued); got != test.statusIssued {
			t.Errorf("%s: status %d when it was issued, want %d", test.name, got, test.statusIssued)
		}
		if got, _ := c.Answer(nil, option, client, time.Unix(test.now, 0)); hex.EncodeToString(got) != test.answer {
			t.Errorf("%s: answer %x, want %s", test.name, got, test.answer)
		}
	}
}

func TestCookieLengths(t *testing.T) {
	c, client, now := NewKeys(NewSecret()), netip.MustParseAddr("192.0.2.1"), time.Unix(1_800_000_000, 0)
	if got := c.check(nil, client, now); got != None {
		t.Errorf("no option: %d", got)
	}
	for n := range 64 {
		want, answer := Malformed, 0
		switch { // RFC 7873 5.2.2
		case n == 8:
			want, answer = Client, 24
		case 16 <= n && n <= 40:
			want, answer = Bad, 24
		}
		if got := c.check(make([]byte, n), client, now); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
		if got, _ := c.Answer([]byte("before"), make([]byte, n), client, now); len(got) != 6+answer || string(got[:6]) != "before" {
			t.Errorf("%d bytes: answer %x", n, got)
		}
	}
}

// Cookies with a version other than 1 (RFC 9018) are bad, even with a correct hash.
func TestCookieOfAnotherVersion(t *testing.T) {
	c, client, now := NewKeys(NewSecret()), netip.MustParseAddr("192.0.2.1"), time.Unix(1_800_000_000, 0)
	cookie, _ := c.Answer(nil, make([]byte, 8), client, now)
	for version, want := range []Status{Bad, Good, Bad} {
		cookie[clientSize] = byte(version)
		hash := (*c.inForce.Load())[0].hash([16]byte(cookie), client)
		copy(cookie[16:], hash[:])
		if got := c.check(cookie, client, now); got != want {
			t.Errorf("version %d: %d, want %d", version, got, want)
		}
	}
}

func TestCookieWindow(t *testing.T) {
	c, client := NewKeys(NewSecret()), netip.MustParseAddr("192.0.2.1")
	for _, issued := range []time.Time{time.Unix(1_800_000_000, 0), time.Unix(1<<32-100, 0)} { // 2027, and where the time wraps
		cookie, _ := c.Answer(nil, make([]byte, 8), client, issued)
		for _, test := range []struct {
			after time.Duration
			want  Status
		}{
			{0, Good},
			{time.Hour, Good},
			{time.Hour + time.Second, Bad},
			{-5 * time.Minute, Good},
			{-5*time.Minute - time.Second, Bad},
			{1 << 31 * time.Second, Bad},
		} {
			if got := c.check(cookie, client, issued.Add(test.after)); got != test.want {
				t.Errorf("%v after: %d, want %d", test.after, got, test.want)
			}
		}
	}
}

func TestCookieBelongsToItsClient(t *testing.T) {
	c, now := NewKeys(NewSecret()), time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		issued, asks string
		want         Status
	}{
		{"192.0.2.1", "192.0.2.1", Good},
		{"192.0.2.1", "192.0.2.2", Bad},
		{"192.0.2.1", "::ffff:192.0.2.1", Good},
		{"::ffff:192.0.2.1", "192.0.2.1", Good},
		{"2001:db8::1", "2001:db8::2", Bad},
		{"fe80::1%lo", "fe80::1", Good},
	} {
		option, _ := c.Answer(nil, []byte("8 bytes."), netip.MustParseAddr(test.issued), now)
		if got := c.check(option, netip.MustParseAddr(test.asks), now); got != test.want {
			t.Errorf("issued to %s, from %s: %d, want %d", test.issued, test.asks, got, test.want)
		}
	}
	// No bit of a cookie can be changed.
	client := netip.MustParseAddr("192.0.2.1")
	option, _ := c.Answer(nil, []byte("8 bytes."), client, now)
	for bit := range 8 * len(option) {
		option[bit/8] ^= 1 << (bit % 8)
		if got := c.check(option, client, now); got != Bad {
			t.Errorf("bit %d is other: %d", bit, got)
		}
		option[bit/8] ^= 1 << (bit % 8)
	}
}

func TestCookiesOff(t *testing.T) {
	var c *Keys
	if got := c.check(make([]byte, 3), netip.Addr{}, time.Time{}); got != None {
		t.Errorf("status %d", got)
	}
	if got, _ := c.Answer(nil, make([]byte, 8), netip.Addr{}, time.Time{}); got != nil {
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

// A cookie is sent back as it came for half an hour, and then renewed (RFC 9018 4.3); at once after a
// change of the secret.
func TestCookieRenewal(t *testing.T) {
	first, second := NewSecret(), NewSecret()
	c, client, issued := NewKeys(first), netip.MustParseAddr("192.0.2.1"), time.Unix(1_800_000_000, 0)
	cookie, _ := c.Answer(nil, []byte("8 bytes."), client, issued)
	for _, test := range []struct {
		after time.Duration
		same  bool
	}{
		{-5 * time.Minute, true}, {0, true}, {30 * time.Minute, true}, {30*time.Minute + time.Second, false}, {time.Hour, false},
	} {
		now := issued.Add(test.after)
		got, status := c.Answer(nil, cookie, client, now)
		if same := bytes.Equal(got, cookie); same != test.same || status != Good {
			t.Errorf("%v after: the same is %t, status %d", test.after, same, status)
		}
		if c.check(got, client, now) != Good {
			t.Errorf("%v after: the cookie of the answer is not good", test.after)
		}
	}
	c.SetSecrets(second, first)
	got, status := c.Answer(nil, cookie, client, issued)
	if status != Good || bytes.Equal(got, cookie) {
		t.Errorf("the former secret: status %d, cookie %x", status, got)
	}
	if status := NewKeys(second).check(got, client, issued); status != Good {
		t.Errorf("the cookie of the answer has status %d with the new secret", status)
	}
	c.SetSecrets(second)
	if status := c.check(cookie, client, issued); status != Bad {
		t.Errorf("a secret that is no longer accepted: status %d", status)
	}
}

func TestCookieThreads(t *testing.T) {
	c, now := NewKeys(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	var wait sync.WaitGroup
	for thread := range byte(4) {
		wait.Go(func() {
			client := netip.AddrFrom4([4]byte{192, 0, 2, thread})
			for range 1000 {
				cookie, _ := c.Answer(nil, make([]byte, 8), client, now)
				if got := c.check(cookie, client, now); got != Good {
					t.Errorf("status %d", got)
				}
			}
		})
	}
	wait.Wait()
}

func TestCookieNoAllocation(t *testing.T) {
	c, now := NewKeys(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	buf := make([]byte, 0, 24)
	for _, client := range []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")} {
		option, _ := c.Answer(nil, make([]byte, 8), client, now)
		if n := testing.AllocsPerRun(100, func() {
			buf, _ = c.Answer(buf[:0], option, client, now)
			buf, _ = c.Answer(buf[:0], option, client, now.Add(time.Hour))
			buf, _ = c.Answer(buf[:0], option, client, now.Add(2*time.Hour))
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
	c := NewKeys(parseSecret(f, secretA1), parseSecret(f, secretA4Before))
	f.Fuzz(func(t *testing.T, option, address []byte, unix int64) {
		client, _ := netip.AddrFromSlice(address)
		now := time.Unix(unix, 0)
		answer, status := c.Answer(nil, option, client, now)
		if answered := status != None && status != Malformed; answered != (len(answer) == Size) || !answered && len(answer) > 0 {
			t.Fatalf("status %d, answer %x", status, answer)
		}
		if len(answer) == 0 {
			return
		}
		if !bytes.Equal(answer[:clientSize], option[:clientSize]) {
			t.Fatalf("the client's cookie is %x in the answer", answer[:clientSize])
		}
		if got := c.check(answer, client, now); got != Good {
			t.Fatalf("the answer's cookie has status %d", got)
		}
	})
}

func BenchmarkCookies(b *testing.B) {
	c, now := NewKeys(NewSecret(), NewSecret()), time.Unix(1_800_000_000, 0)
	client := netip.MustParseAddr("2001:db8::1")
	good, _ := c.Answer(nil, make([]byte, 8), client, now)
	bad := bytes.Clone(good)
	bad[23] ^= 1
	for _, test := range []struct {
		name   string
		option []byte
		after  time.Duration
	}{{"none", nil, 0}, {"client", good[:8], 0}, {"good", good, 0}, {"renewed", good, time.Hour}, {"bad, two secrets", bad, 0}} {
		b.Run(test.name, func(b *testing.B) {
			buf := make([]byte, 0, Size)
			for b.Loop() {
				buf, _ = c.Answer(buf[:0], test.option, client, now.Add(test.after))
			}
		})
	}
}
