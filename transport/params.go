package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Codes of errors about the request itself, in an error's extensions.code.
const (
	CodeBadRequest       = "BAD_REQUEST"            // it is not a well-formed GraphQL request
	CodeMethodNotAllowed = "METHOD_NOT_ALLOWED"     // GET for a mutation, or another HTTP method
	CodeNotAcceptable    = "NOT_ACCEPTABLE"         // no media type that the client accepts can hold the answer
	CodeMediaType        = "UNSUPPORTED_MEDIA_TYPE" // the body is in a form that is not understood
	CodeTooLarge         = "BODY_TOO_LARGE"
	CodeNesting          = "VARIABLE_NESTING_LIMIT" // variables or extensions are nested too deep
	CodeTimeout          = "TIMEOUT"                // the body took too long to arrive
	CodeBatchTooLarge    = "BATCH_TOO_LARGE"
	CodeStreamRequired   = "STREAM_REQUIRED" // a subscription on a transport with one answer
)

// refusal is why a request is refused before there is an operation.
type refusal struct {
	status  int
	code    string
	message string
	allow   string // the methods that are allowed, where it is the method that is not
}

func (r *refusal) Error() string { return r.message }

// list is the refusal as a GraphQL response has it.
func (r *refusal) list() gqlerror.List {
	return gqlerror.List{{Message: r.message, Extensions: map[string]any{"code": r.code}}}
}

func badRequest(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: CodeBadRequest, message: fmt.Sprintf(format, args...)}
}

// body reads a request's body into a buffer.
func (x *exchange) body(into *[]byte) *refusal {
	r := x.r
	if !isJSON(r.Header.Get("Content-Type")) {
		return &refusal{status: http.StatusUnsupportedMediaType, code: CodeMediaType, message: "the body must be sent as Content-Type: application/json, in UTF-8"}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		x.w.Header()["Accept-Encoding"] = identity // RFC 7694, section 3
		return &refusal{status: http.StatusUnsupportedMediaType, code: CodeMediaType, message: "the body must be sent without a Content-Encoding"}
	}
	limited := r.Body
	if x.MaxBody > 0 {
		if r.ContentLength > x.MaxBody {
			return x.tooLarge()
		}
		limited = http.MaxBytesReader(x.w, r.Body, x.MaxBody)
	}
	timeout := x.ReadTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	_ = x.within.SetReadDeadline(time.Now().Add(timeout)) // a recorder has none
	read := bytes.NewBuffer((*into)[:0])
	read.Grow(int(min(max(r.ContentLength, 0), mostForeseen)) + bytes.MinRead)
	if _, err := read.ReadFrom(limited); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return x.tooLarge()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &refusal{status: http.StatusRequestTimeout, code: CodeTimeout, message: fmt.Sprintf("the body took longer than %s to arrive", timeout)}
		}
		return badRequest("the body could not be read to its end")
	}
	_ = x.within.SetReadDeadline(time.Time{})             // only now: the rest of a body that is refused may never come
	*into = bytes.TrimPrefix(read.Bytes(), byteOrderMark) // which RFC 8259, section 8.1, lets a parser ignore
	if at := invalidUTF8(*into); at >= 0 {
		return badRequest("the body is not UTF-8: it is wrong at byte %d", at)
	}
	return nil
}

func (x *exchange) tooLarge() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, code: CodeTooLarge, message: fmt.Sprintf("the body is longer than %d bytes", x.MaxBody)}
}

// mostForeseen is how many bytes of a body are believed in before they are there.
const mostForeseen = 64 << 10

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
	Query         *string `json:"query"`
	DocumentID    *string `json:"documentId"`
	OperationName *string `json:"operationName"`
	Variables     text    `json:"variables"`
	Extensions    text    `json:"extensions"`
}

// text is JSON within a body: it is the body's as long as that is kept.
type text []byte

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = b
	return nil
}

// parse decodes one request, as a POST has it. Nothing of the body is kept.
func parse(body []byte) (*graphql.RawParams, *refusal) {
	if !object(body) {
		if json.Valid(body) {
			return nil, badRequest("the body must be a JSON object")
		}
		return nil, syntax(body)
	}
	var p params
	if err := json.Unmarshal(body, &p); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) && mistyped.Field != "" {
			return nil, badRequest("%s must be a string", mistyped.Field)
		}
		return nil, syntax(body)
	}
	if holdsLoneSurrogate(body) {
		return nil, badRequest(loneSurrogate)
	}
	return p.raw()
}

// object reports whether JSON text begins as an object does.
func object(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// syntax says where a body ceases to be JSON, and nothing of what it holds.
func syntax(body []byte) *refusal {
	if len(bytes.TrimSpace(body)) == 0 {
		return badRequest("the body is empty")
	}
	var wrong *json.SyntaxError
	if err := json.Unmarshal(body, &json.RawMessage{}); errors.As(err, &wrong) {
		return badRequest("the body is not JSON: it is wrong at byte %d", wrong.Offset)
	}
	return badRequest("the body is not JSON")
}

// raw are the parameters as gqlgen wants them. The id of a persisted document goes among the extensions.
func (p *params) raw() (*graphql.RawParams, *refusal) {
	raw := &graphql.RawParams{}
	for _, m := range []struct {
		name string
		text text
		to   *map[string]any
	}{{"variables", p.Variables, &raw.Variables}, {"extensions", p.Extensions, &raw.Extensions}} {
		if len(m.text) == 0 || string(m.text) == "null" {
			continue
		}
		if !object(m.text) {
			return nil, badRequest("%s must be an object", m.name)
		}
		if depth(m.text) > mostNesting {
			return nil, &refusal{status: http.StatusBadRequest, code: CodeNesting, message: fmt.Sprintf("%s are nested in more than %d levels", m.name, mostNesting)}
		}
		if err := decode(m.text, m.to); err != nil {
			return nil, badRequest("%s is not a JSON object", m.name)
		}
	}
	if p.Query != nil {
		raw.Query = *p.Query
	}
	if p.OperationName != nil {
		raw.OperationName = *p.OperationName
	}
	if p.DocumentID != nil {
		if raw.Extensions == nil {
			raw.Extensions = map[string]any{}
		}
		raw.Extensions[documentID] = *p.DocumentID
	}
	if p.Query == nil && raw.Extensions[documentID] == nil && raw.Extensions[persistedQuery] == nil {
		return nil, badRequest("query is missing: it must be a string, the GraphQL document")
	}
	return raw, nil
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

// decode decodes JSON text, which must be valid.
func decode(valid text, to *map[string]any) error {
	d := decoders.Get().(*decoder)
	d.Reset(valid)
	if err := d.Decode(to); err != nil {
		return err // it would repeat that
	}
	if len(valid) <= mostForeseen {
		decoders.Put(d)
	}
	return nil
}

// mostNesting is how deep variables and extensions may be nested.
const mostNesting = 50

// The extensions that name a document in place of its text.
const (
	documentID     = "documentId"
	persistedQuery = "persistedQuery"
)

// parseURL decodes the parameters of a GET.
func parseURL(query string) (*graphql.RawParams, *refusal) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("the URL's query is not well-formed: separate its parameters by & and escape what is special in them")
	}
	var p params
	for name, given := range values {
		switch name {
		case "query", "documentId", "operationName", "variables", "extensions":
		default:
			continue
		}
		value := given[0]
		switch {
		case len(given) > 1:
			return nil, badRequest("%s is given more than once", name)
		case !utf8.ValidString(value):
			return nil, badRequest("%s is not UTF-8", name)
		case value == "" && name != "query":
			continue
		}
		switch name {
		case "query":
			p.Query = &value
		case "documentId":
			p.DocumentID = &value
		case "operationName":
			p.OperationName = &value
		case "variables", "extensions":
			given := text(strings.TrimSpace(value))
			if len(given) > 0 && !json.Valid(given) {
				return nil, badRequest("%s is not a JSON object", name)
			}
			if holdsLoneSurrogate(given) {
				return nil, badRequest(loneSurrogate)
			}
			if name == "variables" {
				p.Variables = given
			} else {
				p.Extensions = given
			}
		}
	}
	return p.raw()
}
