package document

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// directives are those that a Cache-Control of an answer may have (RFC 9111, section 5.2.2, RFC 5861, RFC 8246), and whether they have
// a number of seconds.
var directives = map[string]bool{
	"immutable": false, "max-age": true, "must-revalidate": false, "must-understand": false, "no-cache": false, "no-store": false,
	"no-transform": false, "private": false, "proxy-revalidate": false, "public": false, "s-maxage": true, "stale-if-error": true,
	"stale-while-revalidate": true,
}

// cacheControl returns the text of a Cache-Control header in its usual form. It has to say who may keep the answer, since where that is
// left open, other directives decide in ways that few know.
func cacheControl(text string) (string, error) {
	given := map[string]string{}
	var all []string
	for part := range strings.SplitSeq(text, ",") {
		directive := strings.ToLower(strings.Trim(part, " \t"))
		name, seconds, valued := strings.Cut(directive, "=")
		timed, known := directives[name]
		_, again := given[name]
		switch {
		case !known:
			return "", fmt.Errorf("%q is none of the directives %s", name, strings.Join(slices.Sorted(maps.Keys(directives)), ", "))
		case again:
			return "", fmt.Errorf("%s is given more than once", name)
		case !timed && valued:
			return "", fmt.Errorf("%s has no value: write it without =", name)
		case timed && !isSeconds(seconds):
			return "", fmt.Errorf("%s needs a number of seconds, as in %s=60", name, name)
		}
		given[name] = seconds
		all = append(all, directive)
	}
	who := 0
	for _, name := range []string{"private", "public", "no-store"} {
		if _, ok := given[name]; ok {
			who++
		}
	}
	if _, shared := given["s-maxage"]; who != 1 {
		return "", fmt.Errorf("it must say who may keep the answer: private (the client alone), public (any cache between, for every client) or no-store (nobody)")
	} else if _, public := given["public"]; shared && !public {
		return "", fmt.Errorf("s-maxage is for caches that clients share, which only public allows")
	}
	return strings.Join(all, ", "), nil
}

// isSeconds reports whether text is a number of seconds that every cache can hold (RFC 9111, section 1.2.2).
func isSeconds(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	return err == nil && strconv.FormatUint(n, 10) == text
}
