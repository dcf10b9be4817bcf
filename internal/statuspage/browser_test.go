package statuspage

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/internal/httpaccess"
	"github.com/udpshard/udpshard/internal/statuspage/browsertest"
)

var (
	//go:embed testdata/accessibility.js
	accessibility string
	//go:embed testdata/overflow.js
	overflow string
)

var (
	desktop = browsertest.View{Width: 1120, Height: 800}
	phone   = browsertest.View{Width: 400, Height: 800}
)

// examples are the states in which the page is tested.
var examples = map[string]func() *example{
	"typical": typical, "losing": losing, "64 shards": wide, "20 listeners": large, "standby": standby, "young": young,
	"collecting": func() *example {
		e := newExample()
		e.add("syslog", "syslog", "[::]:5514", 2, 0, 0, 0)
		return e
	},
}

// instance serves the page of an example, which a test can replace.
type instance struct {
	url     string
	example atomic.Pointer[example]
	away    atomic.Bool // requests are answered with an error
}

func newInstance(t *testing.T, e *example) *instance {
	i := new(instance)
	i.example.Store(e)
	handler := httpaccess.WithHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		mux := http.NewServeMux()
		i.example.Load().source().register(mux)
		mux.ServeHTTP(w, r)
	}))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	i.url = server.URL + "/"
	return i
}

// wantNone fails the test for each problem that a script finds.
func wantNone(t *testing.T, page *browsertest.Page, script, what string) {
	t.Helper()
	for _, problem := range browsertest.Eval[[]string](page, script) {
		t.Errorf("%s: %s", what, problem)
	}
}

const openAll = `document.querySelectorAll("details").forEach(e => e.open = true)`

// At 400 and 320 pixels nothing is wider than the window.
func TestNarrow(t *testing.T) {
	browser := browsertest.Start(t)
	for name, e := range examples {
		for _, width := range []int64{400, 320} {
			page := browser.Open(newInstance(t, e()).url, browsertest.View{Width: width, Height: 800})
			browsertest.Eval[any](page, openAll)
			wantNone(t, page, overflow, fmt.Sprintf("%s, %d pixels", name, width))
			page.Close()
		}
	}
}

// Contrast, names, headings, landmarks and tables are as a screen reader and a keyboard need them.
func TestAccessibility(t *testing.T) {
	browser := browsertest.Start(t)
	for name, e := range examples {
		for _, dark := range []bool{false, true} {
			view := desktop
			view.Dark = dark
			page := browser.Open(newInstance(t, e()).url, view)
			browsertest.Eval[any](page, openAll)
			wantNone(t, page, accessibility, fmt.Sprintf("%s, dark: %t", name, dark))
			page.Close()
		}
	}
}

// Without JavaScript the numbers are there.
func TestNoScript(t *testing.T) {
	view := phone
	view.NoScript = true
	page := browsertest.Start(t).Open(newInstance(t, losing()).url, view)
	for _, text := range []string{"1,843 lost on syslog, shard 3", "73,170,606,274 in total", "sysctl -w net.core.rmem_max=33554432", "12 s ago"} {
		page.Wait(fmt.Sprintf("document.body.innerText.includes(%q)", text))
	}
	if n := page.Requests(); n > 3 { // page, style, favicon
		t.Errorf("%d requests", n)
	}
}

// The page refreshes itself, keeps what the user has done, and announces a new verdict only once.
func TestRefresh(t *testing.T) {
	i := newInstance(t, typical())
	page := browsertest.Start(t).Open(i.url, desktop)
	page.Wait(`document.getElementById("announcement").textContent === "Nothing lost."`)
	browsertest.Eval[any](page, `(() => {
		document.getElementById("listener-1-details").open = false;
		document.querySelector("main a").focus();
		scrollTo(0, 300);
		window.before = document.getElementById("listener-0").getBoundingClientRect().top;
		window.announcements = [];
		new MutationObserver(() => announcements.push(document.getElementById("announcement").textContent)).
			observe(document.getElementById("announcement"), { childList: true, characterData: true, subtree: true });
	})()`)
	i.example.Store(losing())
	page.Wait(`document.getElementById("verdict").textContent.startsWith("1,843 lost on syslog, shard 3")`)
	more := losing()
	more.lose(0, 3, 57, 0)
	i.example.Store(more)
	page.Wait(`document.getElementById("verdict").textContent.startsWith("1,900 lost on syslog, shard 3")`)
	for _, condition := range []string{
		`document.title === "Losing – front-1 – udpshard"`,
		`!document.getElementById("listener-1-details").open && document.getElementById("listener-0-details").open`,
		`document.activeElement === document.querySelector("main a")`,
		`Math.abs(document.getElementById("listener-0").getBoundingClientRect().top - before) < 2`, // losses appear above
		`announcements.length === 1 && announcements[0].startsWith("Losing on syslog, shard 3: the receive buffer was full")`,
		`!document.getElementById("losses").hidden && !document.getElementById("warnings").hidden`,
	} {
		if !browsertest.Eval[bool](page, condition) {
			t.Errorf("after a refresh: not %s", condition)
		}
	}
}

// While the instance is away, the page says since when, and asks less and less often. It goes on when
// the instance is back.
func TestAway(t *testing.T) {
	i := newInstance(t, typical())
	page := browsertest.Start(t).Open(i.url, desktop)
	i.away.Store(true)
	page.Wait(`!document.getElementById("connection").hidden &&
		document.title === "No answer – front-1 – udpshard" &&
		/^No answer since .*: the numbers are older/.test(document.getElementById("connection").textContent)`)
	wantNone(t, page, accessibility, "away")
	i.example.Store(losing())
	i.away.Store(false)
	page.Wait(`document.getElementById("connection").hidden && document.title.startsWith("Losing")`)
}

// With a token that the browser has sent as a password, the page refreshes itself too.
func TestToken(t *testing.T) {
	const token = "0123456789abcdef"
	mux := http.NewServeMux()
	typical().source().register(mux)
	access := httpaccess.New(mux)
	access.SetPolicy(httpaccess.Policy{Token: token})
	server := httptest.NewServer(httpaccess.WithHeaders(access))
	t.Cleanup(server.Close)
	page := browsertest.Start(t).Open(strings.Replace(server.URL, "://", "://admin:"+token+"@", 1), desktop)
	browsertest.Eval[any](page, "window.isOpen = true")
	for before := page.Requests(); page.Requests() < before+3; {
		page.Wait(`isOpen && document.getElementById("connection").hidden && document.title.startsWith("Nothing lost")`)
	}
}

// Hidden pages send no requests.
func TestHidden(t *testing.T) {
	browser := browsertest.Start(t)
	page := browser.Open(newInstance(t, typical()).url, desktop)
	browsertest.Eval[any](page, `(() => {
		Object.defineProperty(document, "hidden", { value: true, configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));
	})()`)
	other := browser.Open(newInstance(t, typical()).url, desktop)
	before, others := page.Requests(), other.Requests()
	for other.Requests() < others+4 { // a visible page asks four times
		other.Wait("true")
	}
	if n := page.Requests() - before; n > 1 { // a request that was due
		t.Errorf("%d requests of a hidden page", n)
	}
	browsertest.Eval[any](page, `(() => {
		delete document.hidden;
		document.dispatchEvent(new Event("visibilitychange"));
	})()`)
	for before = page.Requests(); page.Requests() < before+2; {
		page.Wait("true")
	}
}
