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
	dark := desktop
	dark.Dark = true
	for name, shot := range map[string]struct {
		e    *example
		view browsertest.View
	}{
		"light": {typical(), desktop}, "dark": {typical(), dark}, "narrow": {typical(), phone},
		"losing": {losing(), desktop}, "losing-dark": {losing(), dark}, "losing-narrow": {losing(), phone},
		"standby": {standby(), desktop}, "shards": {wide(), desktop}, "large": {large(), desktop}, "large-narrow": {large(), phone},
	} {
		page := browser.Open(newInstance(t, shot.e).url, shot.view)
		page.Screenshot(filepath.Join(*screenshots, name+".png"))
		page.Close()
	}
}
