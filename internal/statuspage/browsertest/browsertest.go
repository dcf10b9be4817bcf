// Package browsertest opens pages in a headless Chromium, for tests of the status page.
package browsertest

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// deadline is how long a browser may take for a step, also on a busy machine.
const deadline = time.Minute

// View is how a page is shown.
type View struct {
	Width, Height int64 // of the window, in CSS pixels
	Dark          bool  // the browser prefers dark pages
	NoScript      bool  // the browser runs no scripts of the page
}

// Browser is a running browser.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// programs are the names of browsers that chromedp can start.
var programs = []string{"chromium", "google-chrome", "chromium-browser"}

// Start starts a browser, which runs until the end of the test. The test is skipped if no browser is
// installed.
func Start(t testing.TB) *Browser {
	t.Helper()
	installed := func(name string) bool { _, err := exec.LookPath(name); return err == nil }
	program := slices.IndexFunc(programs, installed)
	if program < 0 {
		t.Skip("needs Chromium: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(programs[program]),
		chromedp.WSURLReadTimeout(deadline))
	if os.Geteuid() == 0 { // the sandbox of Chromium needs an ordinary user
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	b := &Browser{t, ctx}
	t.Cleanup(func() { b.end(); stop() })
	if err := chromedp.Do(ctx); err != nil { // without a timeout: the end of ctx ends the browser
		t.Fatal(err)
	}
	return b
}

// end ends the browser, and waits for the end.
func (b *Browser) end() {
	ctx, cancel := context.WithTimeout(b.ctx, deadline)
	defer cancel()
	if err := chromedp.Cancel(ctx); err != nil {
		b.t.Errorf("the browser ends: %v", err)
	}
}

// Page is an open page. A test fails if its page sends a request to another host, violates its
// Content-Security-Policy, or throws an exception.
type Page struct {
	t        testing.TB
	tab      context.Context
	host     string
	requests atomic.Int64
}

// Open opens a page in a tab of its own.
func (b *Browser) Open(address string, v View) *Page {
	b.t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &Page{t: b.t, host: parsed.Host}
	p.tab, _ = chromedp.NewContext(b.ctx, chromedp.WithListener(p.observe)) // ends with the browser
	if err := chromedp.Do(p.tab); err != nil {
		b.t.Fatal(err)
	}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	do(p, network.Enable, network.EnableParams{})
	do(p, log.Enable, cdp.Empty{})
	do(p, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: v.Width, Height: v.Height, DeviceScaleFactor: 1})
	do(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	do(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript})
	Run(p, chromedp.Navigate(address))
	return p
}

// Close closes the tab.
func (p *Page) Close() {
	p.t.Helper()
	if err := chromedp.Cancel(p.tab); err != nil {
		p.t.Errorf("the tab closes: %v", err)
	}
}

// observe fails the test if the browser reports what a page must not do.
func (p *Page) observe(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests.Add(1)
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != p.host {
			p.t.Errorf("request to another host: %s", e.Request.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork { // an instance that is away is no fault of the page
			p.t.Errorf("browser: %s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.t.Errorf("exception: %s", e.ExceptionDetails.Text)
	}
}

// Requests returns how many requests the page has sent.
func (p *Page) Requests() int64 { return p.requests.Load() }

// Run runs an action in the page, and returns its value.
func Run[T any](p *Page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, deadline)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// do runs a command of the protocol.
func do[P, R any](p *Page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	return Run(p, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// Eval evaluates a JavaScript expression in the page.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	return Run(p, chromedp.Evaluate[T](expression))
}

// Wait waits until a JavaScript expression is true in the page.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, deadline)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")")) // fails during a reload
		switch {
		case holds:
			return
		case ctx.Err() != nil:
			p.t.Fatalf("timed out waiting for %s (%v); the page has:\n%s", expression, err, Eval[string](p, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Screenshot writes a picture of the whole page to a PNG file.
func (p *Page) Screenshot(path string) { p.save(path, Run(p, chromedp.FullScreenshot(100))) }

// ScreenshotTop writes a picture of what the window shows to a PNG file.
func (p *Page) ScreenshotTop(path string) { p.save(path, Run(p, chromedp.CaptureScreenshot())) }

func (p *Page) save(path string, picture []byte) {
	p.t.Helper()
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
