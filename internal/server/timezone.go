package server

import (
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// noOffset are names of UTC, of the IANA database and POSIX's (TZ, POSIX 8.3), such
// as UTC0 and <UTC>-0.
var noOffset = regexp.MustCompile(`^(UTC|UCT|GMT|Zulu|Universal|Greenwich|([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?0{1,2}(:00){0,2})$`)

// unknownZone returns what TZ says, if package time has not understood it and took
// UTC instead: it reads no POSIX rules (Go 1.26, time/zoneinfo_unix.go). local is
// its zone's name.
func unknownZone(tz, local string) (name string, unknown bool) {
	name = strings.TrimPrefix(tz, ":")
	return tz, local == "UTC" && name != "" && !noOffset.MatchString(strings.TrimPrefix(name, "Etc/"))
}

func warnOfZone(log zerolog.Logger) {
	if tz, unknown := unknownZone(os.Getenv("TZ"), time.Local.String()); unknown {
		log.Warn().Str("TZ", tz).Str("remedy", "a name of the IANA time zone database, such as TZ=Asia/Kolkata; where the host has none, its package is tzdata").
			Str("effect", "syslog timestamps without a zone are read as UTC").Msg("time zone unknown")
	}
}
