package transport

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of answers.
const (
	graphqlType   = "application/graphql-response+json"
	jsonType      = "application/json"
	multipartType = "multipart/mixed"
	eventType     = "text/event-stream"
)

// accepted is how much a client wants each media type of an answer, from 0, not at all, to 1.
type accepted struct {
	graphql, json, multipart, events float64

	subscribed bool // multipart is asked for in the form of subscriptions
}

// accept reads the Accept headers of a request (RFC 9110, section 12.5.1). A client without any takes JSON.
func accept(headers []string) accepted {
	header := strings.Join(headers, ",")
	switch strings.TrimSpace(header) { // the usual ones
	case "", "*/*", jsonType:
		return accepted{json: 1}
	case graphqlType:
		return accepted{graphql: 1}
	}
	offers := []offer{{media: graphqlType}, {media: jsonType}, {media: multipartType}, {media: eventType}}
	subscribed := false
	for part := range strings.SplitSeq(header, ",") {
		media, rest, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		weight, usual := strings.CutPrefix(strings.TrimSpace(rest), "q=")
		var options map[string]string
		if rest != "" && (!usual || strings.Contains(weight, ";")) {
			var err error
			if media, options, err = mime.ParseMediaType(part); err != nil {
				continue // what is not understood is not offered
			}
			weight = options["q"]
		}
		q := 1.0
		if weight != "" {
			var err error
			if q, err = strconv.ParseFloat(weight, 64); err != nil || !(q >= 0 && q <= 1) { // it may be NaN
				continue
			}
		}
		if media == multipartType && options["subscriptionspec"] != "" {
			subscribed = true
		}
		for i := range offers {
			offers[i].weigh(media, options["charset"], q)
		}
	}
	a := accepted{offers[0].q, offers[1].q, offers[2].named(), offers[3].named(), subscribed} // a stream must be asked for by name
	if a.json > 0 {                                                                           // a client that takes anything knows JSON best
		a.graphql = offers[0].named()
	}
	return a
}

// offer is a media type, and the weight of the most exact range of the header that covers it.
type offer struct {
	media string
	exact int // 3: the type itself, 2: its group, 1: every type
	q     float64
}

func (o *offer) weigh(media, charset string, q float64) {
	exact := 0
	switch {
	case media == o.media:
		exact = 3
	case media == "*/*":
		exact = 1
	case strings.HasSuffix(media, "/*") && strings.HasPrefix(o.media, media[:len(media)-1]):
		exact = 2
	}
	if charset != "" && !isUTF8(charset) {
		return
	}
	if exact > o.exact || exact == o.exact && exact > 0 && q > o.q {
		o.exact, o.q = exact, q
	}
}

// named returns the weight of the media type if the header names it, and 0 otherwise.
func (o *offer) named() float64 {
	if o.exact < 3 {
		return 0
	}
	return o.q
}

// one returns the media type for an answer in one piece, "" if the client takes none.
func (a accepted) one() string {
	switch {
	case a.graphql > 0 && a.graphql >= a.json:
		return graphqlType
	case a.json > 0:
		return jsonType
	}
	return ""
}

// parts returns the media type for an answer in parts, "" if the client takes none.
func (a accepted) parts(subscription bool) string {
	switch {
	case subscription && a.events > 0 && !a.subscribed:
		return eventType
	case a.multipart > 0 && a.multipart >= a.events:
		return multipartType
	case a.events > 0:
		return eventType
	}
	return ""
}

// isUTF8 reports whether a charset is UTF-8, by its name or as many clients misspell it.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
