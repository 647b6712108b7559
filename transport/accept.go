package transport

import (
	"cmp"
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
	ranges := map[string]float64{} // weights of media types, of groups of them such as text/*, and of */*
	a := accepted{}
	for part := range strings.SplitSeq(header, ",") {
		media, options, err := mime.ParseMediaType(part)
		if err != nil {
			continue // what is not understood is not offered
		}
		q, err := strconv.ParseFloat(cmp.Or(options["q"], "1"), 64)
		if err != nil || !(q >= 0 && q <= 1) { // it may be NaN
			continue
		}
		a.subscribed = a.subscribed || media == multipartType && options["subscriptionspec"] != ""
		if charset := options["charset"]; charset == "" || isUTF8(charset) {
			ranges[media] = max(ranges[media], q)
		}
	}
	a.json = weigh(ranges, jsonType, false)
	a.graphql = weigh(ranges, graphqlType, a.json > 0) // a client that takes anything knows JSON best
	a.multipart = weigh(ranges, multipartType, true)   // a stream is for clients that ask for it
	a.events = weigh(ranges, eventType, true)
	return a
}

// weigh returns the weight of the most exact range that covers a media type, or only of one that names the type itself.
func weigh(ranges map[string]float64, media string, named bool) float64 {
	group, _, _ := strings.Cut(media, "/")
	covering := []string{media, group + "/*", "*/*"}
	if named {
		covering = covering[:1]
	}
	for _, r := range covering {
		if q, given := ranges[r]; given {
			return q
		}
	}
	return 0
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
