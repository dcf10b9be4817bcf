package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/targets"
)

// targetUsage lists the schemes of targets.
var targetUsage = strings.Join(targets.Schemes, ", ")

// parseTargets parses the URLs of targets, one a line.
func parseTargets(text string) (texts []string, err error) {
	for line := range strings.SplitSeq(text, "\n") {
		s, err := targets.Parse(line)
		if err != nil {
			return nil, err
		}
		texts = append(texts, targets.Text(s))
	}
	return texts, nil
}

// targetText returns the text of a target in the file: a URL, or a mapping with the URL and options.
func targetText(d *document, key string, item *value) (string, error) {
	if item.kind < mapping {
		text, err := item.scalar("")
		if err != nil {
			return "", err
		}
		s, err := targets.Parse(text)
		if err != nil {
			return "", err
		}
		return targets.Text(s), nil
	}
	if item.kind == partialMapping {
		return "", errReported
	}
	i := item.index("url")
	if i < 0 {
		return "", errors.New("the key url is required")
	}
	text, err := item.pairs[i].value.scalar("")
	if err != nil {
		d.report(item.pairs[i].value.at, key+".url", "%w", err)
		return "", errReported
	}
	s, err := targets.Parse(text)
	if err != nil {
		d.report(item.pairs[i].value.at, key+".url", "%w", err)
		return "", errReported
	}
	for _, p := range slices.Delete(slices.Clone(item.pairs), i, i+1) {
		text, valueErr := p.value.scalar(",")
		if valueErr == nil {
			valueErr = targets.AddOption(s.Options, p.key, text)
		}
		if valueErr != nil {
			d.report(p.at, key, "%w", valueErr)
			err = errReported
		}
	}
	return targets.Text(s), err
}

// Targets returns the settings of the listener's targets.
func (l *Listener) Targets() (all []*ship.Settings) {
	for _, text := range l.To {
		s, err := targets.Parse(text)
		if err != nil {
			panic(err) // parseTargets has parsed the text
		}
		s.Listener, s.Format = l.Name, l.Format
		all = append(all, s)
	}
	return all
}

// targetError returns the error of a target, with the position.
func (l *Listener) targetError(i int, err error) error {
	if items := l.keys["to"].items; i < len(items) {
		return cli.SettingError(items[i], err)
	}
	return l.ErrorAt("to", err)
}

// checkTargets returns the errors of targets, and of settings that exclude targets.
func (l *Listener) checkTargets() error {
	var errs []error
	onCommandLine := strings.HasPrefix(l.keys["to"].position, "--")
	named := make(map[string]bool)
	for i, s := range l.Targets() {
		if literal := s.LiteralSecrets(); len(literal) > 0 && onCommandLine {
			err := fmt.Errorf("all users of this host can see secrets on the command line: option %s", strings.Join(literal, ", "))
			errs = append(errs, cli.WithHint(l.targetError(i, err), fmt.Sprintf("--to '%s#%s=${file:PATH}', or ${env:NAME}, or the key to of a file", s.Name(), literal[0])))
			continue
		}
		if named[s.Name()] {
			errs = append(errs, l.targetError(i, fmt.Errorf("another target of the listener is %s", s.Name())))
		}
		named[s.Name()] = true
		for _, err := range cli.Separate(checkTarget(s)) {
			errs = append(errs, l.targetError(i, err))
		}
	}
	if !l.IsSet("to") {
		return cli.Join(errs...)
	}
	if l.IsSet("output") {
		err := errors.New("a listener with targets has no other output: its records go to the spool")
		errs = append(errs, l.ErrorAt("output", cli.WithHint(err, "leave out output, or to")))
	}
	if l.Protocol == "echo" || l.Protocol == "discard" {
		errs = append(errs, l.ErrorAt("to", fmt.Errorf("the protocol %s has no records", l.Protocol)))
	}
	return cli.Join(errs...)
}

// checkTarget returns the errors of the constructor of a target.
func checkTarget(s *ship.Settings) error {
	if err := s.CheckSecrets(); err != nil {
		return err
	}
	target, err := targets.New(s)
	if err != nil {
		return err
	}
	return target.Close()
}

func parseFormat(text string) (ship.Format, error) {
	format, err := cli.ParseChoice(string(ship.JSON), string(ship.RFC5424), string(ship.Original))(text)
	return ship.Format(format), err
}

// checkFormat returns the error of a format that the protocol does not have.
func (l *Listener) checkFormat() error {
	if l.Format == ship.JSON || l.Protocol == "syslog" || l.keys["protocol"].unusable {
		return nil
	}
	return l.ErrorAt("format", fmt.Errorf("only syslog has the format %s, and the protocol is %s", l.Format, l.Protocol))
}
