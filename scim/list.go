package scim

import (
	"crypto/sha256"
	"encoding/base64"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// The URNs of the messages of lists (RFC 7644, sections 3.4.2 and 3.4.3).
const (
	ListSchema   = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	SearchSchema = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
)

// Query asks a Store for some of its resources, in an order that stays.
type Query struct {
	Filter Filter // nil: all
	// Skip is how many resources come before, or After is the key of the one before, as Page.Last has told it; "": it begins with the first.
	Skip  int
	After string
	Limit int // how many there are at most; 0: they are only counted
	Selection
}

// Page is what a Store has found.
type Page struct {
	Total     int // how many there are beside Skip, After and Limit
	Resources []Resource
	Last      string // the key of the last one of these; "": none follow it
}

// search is a request for a list.
type search struct {
	filter         string
	startIndex     int
	count          int
	cursor         string
	byCursor       bool
	only, excluded []string
}

// searchOf reads the parameters of GET.
func searchOf(values url.Values) (s search, err error) {
	s.filter = values.Get("filter")
	s.cursor, s.byCursor = values.Get("cursor"), values.Has("cursor")
	s.only, s.excluded = names(values.Get("attributes")), names(values.Get("excludedAttributes"))
	s.startIndex, s.count = 1, math.MaxInt
	for name, to := range map[string]*int{"startIndex": &s.startIndex, "count": &s.count} {
		if !values.Has(name) {
			continue
		}
		if *to, err = strconv.Atoi(values.Get(name)); err != nil {
			return s, Refuse(InvalidValue, "%s must be a whole number, not %q", name, clip(values.Get(name)))
		}
	}
	return s, s.check(values.Has("startIndex"))
}

// searchIn reads the body of a SearchRequest.
func searchIn(body Resource) (s search, err error) {
	if !hasSchema(body, SearchSchema) {
		return s, Refuse(InvalidSyntax, "schemas must name %s", SearchSchema)
	}
	s.filter, _ = member(body, "filter").(string)
	cursor, byCursor := lookup(body, "cursor")
	s.byCursor = byCursor
	s.cursor, _ = cursor.(string)
	s.startIndex, s.count = 1, math.MaxInt
	for name, to := range map[string]*int{"startIndex": &s.startIndex, "count": &s.count} {
		given := member(body, name)
		if given == nil {
			continue
		}
		n, ok := given.(float64)
		if !ok || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			return s, Refuse(InvalidValue, "%s must be a whole number", name)
		}
		*to = int(n)
	}
	for name, to := range map[string]*[]string{"attributes": &s.only, "excludedAttributes": &s.excluded} {
		list, _ := member(body, name).([]any)
		for _, one := range list {
			text, _ := one.(string)
			*to = append(*to, text)
		}
	}
	_, indexed := lookup(body, "startIndex")
	return s, s.check(indexed)
}

// check brings the numbers into their ranges (RFC 7644, section 3.4.2.4).
func (s *search) check(indexed bool) error {
	if indexed && s.byCursor {
		return Refuse(InvalidValue, "startIndex and cursor cannot be given together")
	}
	s.startIndex, s.count = max(1, s.startIndex), max(0, s.count)
	return nil
}

func names(list string) (all []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// query returns what a Store is asked for.
func (s search) query(t *ResourceType, maxPage int) (q Query, err error) {
	if q.Selection, err = t.selection(s.only, s.excluded); err != nil {
		return q, err
	}
	if s.filter != "" {
		if q.Filter, err = t.ParseFilter(s.filter); err != nil {
			return q, err
		}
	}
	q.Limit = min(s.count, maxPage)
	q.Skip = s.startIndex - 1
	if s.cursor != "" {
		var ok bool
		if q.After, ok = s.after(t); !ok {
			return q, Refuse(InvalidCursor, "that is no cursor of a list of this type with this filter: begin with an empty one")
		}
	}
	return q, nil
}

// tag is what the cursors of a list have in common: they are of no use with another filter (RFC 9865, section 2).
func (s search) tag(t *ResourceType) string {
	sum := sha256.Sum256([]byte(t.Name + "\x00" + s.filter))
	return string(sum[:6])
}

func (s search) cursorAfter(t *ResourceType, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(s.tag(t) + key))
}

func (s search) after(t *ResourceType) (key string, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(s.cursor)
	key, ok = strings.CutPrefix(string(text), s.tag(t))
	return key, ok && err == nil && key != ""
}

// list is the answer to a search.
func (s search) list(t *ResourceType, page Page, resources []any) Resource {
	answer := Resource{"schemas": []any{ListSchema}, "totalResults": page.Total, "itemsPerPage": len(resources), "Resources": resources}
	switch {
	case !s.byCursor:
		answer["startIndex"] = s.startIndex
	case page.Last != "":
		answer["nextCursor"] = s.cursorAfter(t, page.Last)
	}
	return answer
}
