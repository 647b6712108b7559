package document

import (
	"strings"
	"testing"
)

func TestACacheControlSaysWhoMayKeepAnAnswerAndIsOneThatCachesKnow(t *testing.T) {
	for text, want := range map[string]string{
		"no-store":                              "no-store",
		"private, no-cache":                     "private, no-cache",
		" Public ,\tmax-age=0,s-maxage=86400":   "public, max-age=0, s-maxage=86400",
		"public, max-age=60, must-revalidate":   "public, max-age=60, must-revalidate",
		"private, max-age=2147483647,immutable": "private, max-age=2147483647, immutable",
		"private, max-age=60, stale-while-revalidate=30, stale-if-error=600": "private, max-age=60, stale-while-revalidate=30, stale-if-error=600",
	} {
		if got, err := cacheControl(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, reason := range map[string]string{
		"":                                "none of the directives",
		"private,":                        "none of the directives",
		"private; max-age=60":             "none of the directives",
		"private, max-aeg=60":             `"max-aeg" is none of`,
		"private\r\nSet-Cookie: a=b":      "none of the directives",
		"private, max-age":                "max-age needs a number of seconds",
		"private, max-age=":               "seconds",
		"private, max-age=1.5":            "seconds",
		"private, max-age=-1":             "seconds",
		"private, max-age=+1":             "seconds",
		"private, max-age=010":            "seconds",
		`private, max-age="60"`:           "seconds",
		"private, max-age=2147483648":     "seconds",
		"private, max-age=60, max-age=60": "more than once",
		`private="authorization"`:         "private has no value",
		"public=":                         "public has no value",
		"max-age=60":                      "who may keep",
		"no-cache":                        "who may keep",
		"private, public":                 "who may keep",
		"private, no-store":               "who may keep",
		"private, s-maxage=60":            "only public allows",
		"no-store, s-maxage=60":           "only public allows",
	} {
		if got, err := cacheControl(text); err == nil || !strings.Contains(err.Error(), reason) || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
