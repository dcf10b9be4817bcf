package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/targets"
)

// newTarget is targets.New, or the function of a test.
var newTarget = targets.New

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

// isSecret reports whether the last part of a key is an option with a secret.
func isSecret(key string) bool {
	name, _, _ := strings.Cut(key[strings.LastIndex(key, ".")+1:], "[")
	return ship.IsSecret(name) || key == tokenKey || strings.Contains(key, "."+ship.HeaderPrefix)
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

// Outputs returns where records go, without secrets: the output, or the URLs of targets.
func (l *Listener) Outputs() string {
	if len(l.To) == 0 {
		return l.Output
	}
	var names []string
	for _, s := range l.Targets() {
		names = append(names, s.Name())
	}
	return strings.Join(names, ", ")
}

// targetError returns the error of a target, with the position. Of several flags, the name of the
// target says which is meant.
func (l *Listener) targetError(i int, s *ship.Settings, err error) error {
	if items := l.keys["to"].items; i < len(items) {
		return cli.SettingError(items[i], err)
	}
	if len(l.To) > 1 && !strings.Contains(err.Error(), s.Name()) {
		err = fmt.Errorf("%s: %w", s.Name(), err)
	}
	return l.ErrorAt("to", err)
}

// checkTargets returns the errors of targets, and of settings that exclude targets.
func (l *Listener) checkTargets() error {
	if !l.IsSet("to") {
		return nil
	}
	var errs []error
	known := make(map[string]bool)
	for i, s := range l.Targets() {
		err := l.checkTarget(s)
		if known[s.Name()] {
			err = cli.Join(fmt.Errorf("the listener has the target %s already", s.Name()), err)
		}
		known[s.Name()] = true
		for _, err := range cli.Separate(err) {
			errs = append(errs, l.targetError(i, s, err))
		}
	}
	if l.IsSet("output") {
		err := errors.New("a listener with targets has no output but the spool")
		errs = append(errs, l.ErrorAt("output", cli.WithHint(err, "leave out output, or the targets")))
	}
	if l.Protocol == "echo" || l.Protocol == "discard" {
		err := fmt.Errorf("the protocol %s has no records", l.Protocol)
		errs = append(errs, l.ErrorAt("to", err))
	}
	return cli.Join(errs...)
}

// checkTarget returns the errors of a target: all that can be found without a connection, and
// secrets on the command line.
func (l *Listener) checkTarget(s *ship.Settings) error {
	isFlag := strings.HasPrefix(l.position("to"), "--")
	if literal := s.LiteralSecrets(); len(literal) > 0 && isFlag {
		err := fmt.Errorf("option %s: all users of this host can see a secret on the command line",
			strings.Join(literal, ", "))
		return cli.WithHint(err, fmt.Sprintf("%s=${file:PATH} or %[1]s=${env:NAME} after the #, or the "+
			"secret in the file of --config", literal[0]))
	}
	target, err := newTarget(s)
	if err == nil {
		err = target.Close()
	}
	return cli.Join(s.CheckSecrets(), err)
}

// completeTarget offers the schemes of targets.
func completeTarget(begin string) ([]string, cobra.ShellCompDirective) {
	var urls []string
	for _, scheme := range targets.Schemes {
		urls = append(urls, scheme+"://")
	}
	return cli.Words(urls...)(begin)
}

// dnstapScheme is the begin of the schemes of targets that get dnstap messages.
const dnstapScheme = "dnstap+"

// checkFormat returns the errors of a format that the protocol, the output or a target does not have.
func (l *Listener) checkFormat() error {
	if l.keys["protocol"].unusable {
		return nil
	}
	isDnstap := l.Format == ship.Dnstap
	required := map[ship.Format]string{ship.RFC5424: "syslog", ship.Original: "syslog", ship.Dnstap: "dns"}
	if protocol := required[l.Format]; protocol != "" && l.Protocol != protocol {
		err := fmt.Errorf("only %s has the format %s, and the protocol is %s", protocol, l.Format, l.Protocol)
		return l.ErrorAt("format", err)
	}
	var errs []error
	for i, s := range l.Targets() {
		if strings.HasPrefix(s.URL.Scheme, dnstapScheme) == isDnstap {
			continue
		}
		err := fmt.Errorf("%s does not get the format %s", s.Name(), l.Format)
		if !isDnstap {
			err = cli.WithHint(err, "set --format dnstap, or format: dnstap in the file, for DNS queries")
		}
		errs = append(errs, l.targetError(i, s, err))
	}
	if l.RecordAnswers && l.Output == "discard" && len(l.To) == 0 {
		err := errors.New("without effect with the output discard, which has no records")
		errs = append(errs, l.ErrorAt("record_answers", err))
	}
	if !isDnstap {
		return cli.Join(errs...)
	}
	if _, isFile := output.Path(l.Output, 0); !isFile && len(l.To) == 0 {
		err := fmt.Errorf("the output %s does not get dnstap messages", l.Output)
		errs = append(errs, l.ErrorAt("format", cli.WithHint(err,
			"set --output file:PATH, or a target: --to dnstap+unix:///PATH")))
	}
	if l.RecordAnswers {
		err := errors.New("without effect with the format dnstap, which has whole responses")
		errs = append(errs, l.ErrorAt("record_answers", err))
	}
	return cli.Join(errs...)
}
