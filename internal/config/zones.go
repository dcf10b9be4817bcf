package config

import (
	"errors"
	"strings"

	"github.com/udpshard/udpshard/packet/dns"
)

// ParseZone returns the source of a zone: FILE or ORIGIN=FILE. Text with a slash before the first =
// is no origin.
func ParseZone(text string) (dns.Source, error) {
	origin, file, hasOrigin := strings.Cut(text, "=")
	switch {
	case !hasOrigin || strings.Contains(origin, "/"):
		return dns.Source{File: text}, nil
	case origin == "":
		return dns.Source{}, errors.New("the origin before = is missing")
	case file == "":
		return dns.Source{}, errors.New("the file after = is missing")
	}
	return dns.Source{Origin: origin, File: file}, dns.CheckOrigin(origin)
}

func parseZones(text string) ([]dns.Source, error) {
	parts, err := parseList(text)
	if err != nil {
		return nil, err
	}
	var sources []dns.Source
	for _, part := range parts {
		source, err := ParseZone(part)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// zoneText returns the text of a zone, or of the zones of a mapping from origins to files.
func zoneText(d *document, key string, item *value) (string, error) {
	if item.kind < mapping {
		return item.scalar("")
	}
	var texts []string
	var failed error
	for _, p := range item.pairs {
		file, err := p.value.scalar("")
		if err == nil && file == "" {
			err = errors.New("the file is missing")
		}
		if err == nil {
			err = dns.CheckOrigin(p.key)
		}
		if err != nil {
			d.report(p.at, key+"."+p.key, "%w", err)
			failed = errReported
		}
		texts = append(texts, p.key+"="+file)
	}
	if item.kind == partialMapping {
		failed = errReported
	}
	return strings.Join(texts, ","), failed
}
