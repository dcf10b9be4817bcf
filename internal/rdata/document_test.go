package rdata

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of types in docs/dns.md has the fields of the table of types.
func TestDocumentHasTypes(t *testing.T) {
	document, err := os.ReadFile("../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| type | fields | from |\n|---|---|---|\n"
	for _, row := range types {
		if isMeta(row.number) {
			continue
		}
		names := []string{"`\\#` and any data"}
		if row.fields != nil {
			names = nil
		}
		for _, f := range row.fields {
			names = append(names, f.name)
		}
		table += fmt.Sprintf("| %s | %s | %s |\n", row.name, strings.Join(names, ", "), row.source)
	}
	if !strings.Contains(string(document), table) {
		t.Errorf("docs/dns.md does not have this table:\n%s", table)
	}
}
