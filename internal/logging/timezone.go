package logging

import (
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// noOffset matches the names of UTC in the IANA database, and in POSIX (TZ, POSIX 8.3), such as
// UTC0 and <UTC>-0.
var noOffset = regexp.MustCompile(`^(UTC|UCT|GMT|Zulu|Universal|Greenwich|` +
	`([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?0{1,2}(:00){0,2})$`)

// unknownZone returns whether package time has used UTC because the value of TZ is unknown. Package
// time reads no POSIX rules (Go 1.26, time/zoneinfo_unix.go). local is the name of time.Local.
func unknownZone(tz, local string) (name string, unknown bool) {
	name = strings.TrimPrefix(tz, ":")
	return tz, local == "UTC" && name != "" && !noOffset.MatchString(strings.TrimPrefix(name, "Etc/"))
}

func WarnUnknownZone(log zerolog.Logger) {
	if tz, unknown := unknownZone(os.Getenv("TZ"), time.Local.String()); unknown {
		log.Warn().Str("TZ", tz).Str("remedy", "a name of the IANA time zone database, "+
			"such as TZ=Asia/Kolkata; the package with the database is tzdata").
			Str("effect", "syslog timestamps without a zone are read as UTC").Msg("time zone unknown")
	}
}
