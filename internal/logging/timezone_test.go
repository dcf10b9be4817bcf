package logging

import "testing"

func TestUnknownZones(t *testing.T) {
	for tz, want := range map[string]bool{
		"": false, ":": false, "UTC": false, ":UTC": false, "UTC0": false, "<UTC>-0": false,
		"GMT+00:00":    false,
		"<+0530>-5:30": true, "XYZ-5:30": true, "EST5EDT,M3.2.0,M11.1.0": true, ":XYZ-5:30": true,
		"Asia/Nowhere": true, "/nowhere": true, "UTC-1": true,
	} {
		if _, unknown := unknownZone(tz, "UTC"); unknown != want {
			t.Errorf("%q: %v", tz, unknown)
		}
	}
	if _, unknown := unknownZone("Asia/Kolkata", "Asia/Kolkata"); unknown {
		t.Error("Asia/Kolkata is loaded, and unknown")
	}
}
