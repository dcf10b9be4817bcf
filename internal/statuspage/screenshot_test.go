package statuspage

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/statuspage/browsertest"
)

var screenshots = flag.String("screenshots", "", "the folder for the screenshots of TestScreenshots")

// TestScreenshots makes pictures of the page, for people to look at.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("needs a folder: -screenshots FOLDER")
	}
	browser := browsertest.Start(t)
	desktop, narrow := browsertest.View{Width: 1120, Height: 600}, browsertest.View{Width: 400, Height: 800}
	dark := desktop
	dark.Dark = true
	for name, shot := range map[string]struct {
		e    *example
		view browsertest.View
	}{
		"light": {typical(), desktop}, "dark": {typical(), dark}, "narrow": {typical(), narrow},
		"losing": {losing(), desktop}, "losing-dark": {losing(), dark}, "losing-narrow": {losing(), narrow},
		"standby": {standby(), desktop}, "shards": {wide(), desktop}, "large": {large(), desktop}, "large-narrow": {large(), narrow},
	} {
		page := browser.Open(shot.e.serve(t), shot.view)
		page.Screenshot(filepath.Join(*screenshots, name+".png"))
		page.Close()
	}
}
