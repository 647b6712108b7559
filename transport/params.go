package transport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/document"
)

const (
	maxPreallocated = 64 << 10 // bytes of a body for which room is made before they are there
	maxNesting      = 50       // levels of variables and extensions
)

// body reads a request's body into a buffer.
func (x *exchange) body(into *[]byte) *refusal {
	r := x.r
	if !isJSON(r.Header.Get("Content-Type")) {
		return refuse(http.StatusUnsupportedMediaType, CodeMediaType, "the body must be sent as Content-Type: application/json, in UTF-8")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		x.w.Header()["Accept-Encoding"] = identity // RFC 7694, section 3
		return refuse(http.StatusUnsupportedMediaType, CodeMediaType, "the body must be sent without a Content-Encoding")
	}
	tooLarge := func() *refusal {
		return refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body is longer than %d bytes", x.MaxBody)
	}
	limited := r.Body
	if x.MaxBody > 0 {
		if r.ContentLength > x.MaxBody {
			return tooLarge()
		}
		limited = http.MaxBytesReader(x.w, r.Body, x.MaxBody)
	}
	timeout := cmp.Or(x.ReadTimeout, 30*time.Second)
	_ = x.within.SetReadDeadline(time.Now().Add(timeout)) // a recorder has none
	read := bytes.NewBuffer((*into)[:0])
	read.Grow(int(min(max(r.ContentLength, 0), maxPreallocated)) + bytes.MinRead)
	if _, err := read.ReadFrom(limited); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return tooLarge()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refuse(http.StatusRequestTimeout, CodeTimeout, "the body took longer than %s to arrive", timeout)
		}
		return badRequest("the body could not be read to its end")
	}
	_ = x.within.SetReadDeadline(time.Time{})                      // only now: the rest of a body that is refused may never come
	*into = bytes.TrimPrefix(read.Bytes(), document.ByteOrderMark) // which RFC 8259, section 8.1, lets a parser ignore
	if at := document.InvalidUTF8(*into); at >= 0 {
		return badRequest("the body is not UTF-8: it is wrong at byte %d", at)
	}
	return nil
}

// isJSON reports whether a Content-Type is that of JSON in UTF-8.
func isJSON(contentType string) bool {
	if contentType == jsonType { // the usual one
		return true
	}
	media, options, err := mime.ParseMediaType(contentType)
	charset, given := options["charset"]
	return err == nil && media == jsonType && (!given || isUTF8(charset))
}

// params are the parameters of a request, as they came.
type params struct {
	Query         *string         `json:"query"`
	DocumentID    *string         `json:"documentId"`
	OperationName string          `json:"operationName"`
	Variables     json.RawMessage `json:"variables"`
	Extensions    json.RawMessage `json:"extensions"`
}

// parse decodes one request, as a POST has it. It keeps nothing of the body.
func parse(body []byte) (*graphql.RawParams, *refusal) {
	if !beginsWith('{', body) {
		if json.Valid(body) {
			return nil, badRequest("the body must be a JSON object")
		}
		return nil, syntax(body)
	}
	var p params
	if err := json.Unmarshal(body, &p); err != nil {
		if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && mistyped.Field != "" {
			return nil, badRequest("%s must be a string", mistyped.Field)
		}
		return nil, syntax(body)
	}
	if document.HoldsLoneSurrogate(body) {
		return nil, badRequest(document.LoneSurrogate)
	}
	return p.raw()
}

// beginsWith reports whether the first character of JSON text is c: [ of an array, { of an object.
func beginsWith(c byte, text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == c
}

// syntax says where a body ceases to be JSON, without quoting it.
func syntax(body []byte) *refusal {
	if len(bytes.TrimSpace(body)) == 0 {
		return badRequest("the body is empty")
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &json.RawMessage{})); ok {
		return badRequest("the body is not JSON: it is wrong at byte %d", wrong.Offset)
	}
	return badRequest("the body is not JSON")
}

// raw returns the parameters as gqlgen wants them. The id of a document goes among the extensions.
func (p *params) raw() (*graphql.RawParams, *refusal) {
	raw := &graphql.RawParams{OperationName: p.OperationName}
	if p.Query != nil {
		raw.Query = *p.Query
	}
	for _, m := range []struct {
		name string
		text json.RawMessage
		to   *map[string]any
	}{{"variables", p.Variables, &raw.Variables}, {"extensions", p.Extensions, &raw.Extensions}} {
		if len(m.text) == 0 || string(m.text) == "null" {
			continue
		}
		if !beginsWith('{', m.text) {
			return nil, badRequest("%s must be an object", m.name)
		}
		if depth(m.text) > maxNesting {
			return nil, refuse(http.StatusBadRequest, CodeNesting, "%s are nested in more than %d levels", m.name, maxNesting)
		}
		if err := decode(m.text, m.to); err != nil {
			return nil, badRequest("%s is not a JSON object", m.name)
		}
	}
	if p.DocumentID != nil {
		if raw.Extensions == nil {
			raw.Extensions = map[string]any{}
		}
		raw.Extensions[document.IDExtension] = *p.DocumentID
	}
	if p.Query == nil && raw.Extensions[document.IDExtension] == nil && raw.Extensions[document.HashExtension] == nil {
		return nil, badRequest("query is missing: it must be a string, the GraphQL document")
	}
	return raw, nil
}

// depth returns how deep the arrays and objects of JSON text are nested, without recursion. It is exact for valid JSON.
func depth(text []byte) (deepest int) {
	nested, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			nested++
			deepest = max(deepest, nested)
		case c == ']' || c == '}':
			nested--
		}
	}
	return deepest
}

// decoder is a JSON decoder of one text after another. It leaves numbers as they are written.
type decoder struct {
	bytes.Reader
	*json.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.Decoder = json.NewDecoder(&d.Reader)
	d.UseNumber()
	return d
}}

// decode decodes valid JSON text.
func decode(valid []byte, to *map[string]any) error {
	d := decoders.Get().(*decoder)
	d.Reset(valid)
	if err := d.Decode(to); err != nil {
		return err // and the decoder, which would repeat it, is not used again
	}
	if len(valid) <= maxPreallocated {
		decoders.Put(d)
	}
	return nil
}

// parseURL decodes the parameters of a GET.
func parseURL(query string) (*graphql.RawParams, *refusal) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("the URL's query is not well-formed: separate its parameters by & and escape what is special in them")
	}
	var p params
	for name, given := range values {
		value := given[0]
		object := json.RawMessage(strings.TrimSpace(value)) // of variables and extensions
		switch name {
		case "query":
			p.Query = &value
		case "documentId":
			if value != "" {
				p.DocumentID = &value
			}
		case "operationName":
			p.OperationName = value
		case "variables":
			p.Variables = object
		case "extensions":
			p.Extensions = object
		default:
			continue
		}
		isObject := name == "variables" || name == "extensions"
		switch {
		case len(given) > 1:
			return nil, badRequest("%s is given more than once", name)
		case !utf8.ValidString(value):
			return nil, badRequest("%s is not UTF-8", name)
		case isObject && len(object) > 0 && !json.Valid(object):
			return nil, badRequest("%s is not a JSON object", name)
		case isObject && document.HoldsLoneSurrogate(object):
			return nil, badRequest(document.LoneSurrogate)
		}
	}
	return p.raw()
}
