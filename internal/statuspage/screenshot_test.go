package statuspage

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/statuspage/browsertest"
)

var screenshots = flag.String("screenshots", "", "the folder for the pictures of TestScreenshots")

// TestScreenshots makes pictures of the page, for people to look at. docs/status-page.png is one of
// them; to make it anew:
//
//	go test ./internal/statuspage -run TestScreenshots -args -screenshots /tmp
//	cp /tmp/status-page.png docs/
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("needs a folder: -args -screenshots FOLDER")
	}
	dark := desktop
	dark.Dark = true
	browser := browsertest.Start(t)
	for name, shot := range map[string]struct {
		e    *example
		view browsertest.View
	}{
		"light": {typical(), desktop}, "dark": {typical(), dark}, "narrow": {typical(), phone},
		"losing": {losing(), desktop}, "losing-dark": {losing(), dark}, "losing-narrow": {losing(), phone},
		"standby": {standby(), desktop}, "young": {young(), desktop}, "64-shards": {wide(), desktop}, "20-listeners": {large(), desktop},
	} {
		page := browser.Open(newInstance(t, shot.e).url, shot.view)
		page.Screenshot(filepath.Join(*screenshots, name+".png"))
		page.Close()
	}
	page := browser.Open(newInstance(t, typical()).url, browsertest.View{Width: 1000, Height: 1020})
	page.ScreenshotTop(filepath.Join(*screenshots, "status-page.png"))
}
