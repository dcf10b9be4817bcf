// Package zonecheck checks zone files for `udpshard zone`.
package zonecheck

import (
	"errors"
	"fmt"
	"io"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/packet/dns"
)

// Run reads zones (FILE or ORIGIN=FILE), and writes the records that would be answered from to out,
// and the warnings to warnings. The errors of zones are errors of cli.Config. Without these, the
// number of warnings is an error.
func Run(zones []string, out, warnings io.Writer) error {
	var errs []error
	n := 0
	for _, zone := range zones {
		source, err := config.ParseZone(zone)
		if err != nil {
			return cli.Usage(fmt.Errorf("%s: %w", zone, err))
		}
		found, err := dns.WriteZone(out, source)
		for _, warning := range found {
			fmt.Fprintln(warnings, "udpshard: warning:", warning)
		}
		n += len(found)
		switch bad := (*dns.ZoneError)(nil); {
		case errors.As(err, &bad):
			errs = append(errs, cli.Config(err))
		case err != nil:
			return err
		}
	}
	if len(errs) == 0 && n > 0 {
		return errors.New(format.Plural(n, "warning"))
	}
	return cli.Join(errs...)
}
