package config

import (
	"os"
	"strings"
	"testing"
)

// docs/configuration.md has a row for each setting, with the key, the flag, the default, and
// whether SIGHUP can change the setting, and no other rows.
func TestConfigurationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ flag, init, live string }
	rows := make(map[string]row)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[strings.Trim(cells[1], "`")] = row{strings.Trim(cells[2], "`"), cells[3], cells[5]}
	}
	check := func(key, flag, init string, live bool) {
		t.Helper()
		got, found := rows[key]
		delete(rows, key)
		want := row{live: "no"}
		if flag != "" {
			want.flag = "--" + flag
		}
		if live {
			want.live = "yes"
		}
		if got.flag != want.flag || got.live != want.live {
			t.Errorf("key %s: %+v (%t), want %+v", key, got, found, want)
		}
		if init != "" && !strings.HasPrefix(got.init, "`"+init+"`") {
			t.Errorf("key %s: the default is %s on the page, and %s here", key, got.init, init)
		}
	}
	for _, s := range listenerSettings {
		check(s.key, s.flag, s.init, s.live)
	}
	for _, s := range configSettings {
		check(s.key, s.flag, s.init, s.live)
	}
	for key := range rows {
		t.Errorf("the page has the key %s, which is no setting", key)
	}
}
