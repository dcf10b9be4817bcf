package loadgen

import "testing"

func TestParseFlags(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0.9": 0.9, "90%": 0.9, "1": 1, "100%": 1} {
		if got, err := ParseShare(text); err != nil || got != want {
			t.Errorf("share %s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1.1", "101%", "-1", "NaN", "half"} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("share %q is %v", text, got)
		}
	}
	if got, err := ParseRate("2.5"); got != 2.5 || err != nil {
		t.Error(got, err)
	}
	for _, text := range []string{"", "-1", "NaN", "5k"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("rate %q is %v", text, got)
		}
	}
	if got, err := ParseTotal("7"); got != 7 || err != nil {
		t.Error(got, err)
	}
	if got, err := ParseTotal("0"); err == nil {
		t.Errorf("total 0 is %d", got)
	}
}
