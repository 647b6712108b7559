package sqlite

import (
	"strings"
	"time"
)

// timeFormat is how times are written. In UTC, texts of it sort as their times do.
const timeFormat = "2006-01-02 15:04:05.999999999-07:00"

// timeFormats are how times may be written by others, as SQLite itself reads them (https://sqlite.org/lang_datefunc.html), and as Go
// prints them.
var timeFormats = []string{
	timeFormat,
	"2006-01-02T15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04-07:00",
	"2006-01-02T15:04-07:00",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
	"2006-01-02 15:04:05.999999999 -0700 MST",
}

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// parseTime reads a time. One that names no zone is in UTC.
func parseTime(text string) (time.Time, bool) {
	text = strings.TrimSuffix(text, "Z")
	text, _, _ = strings.Cut(text, " m=") // of a time that Go has measured
	for _, format := range timeFormats {
		if t, err := time.ParseInLocation(format, text, time.UTC); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
