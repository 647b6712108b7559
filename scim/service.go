package scim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// MediaType is that of requests and answers (RFC 7644, section 8.1).
const MediaType = "application/scim+json"

// Service answers requests below a path.
type Service struct {
	Base     string // the path, such as /scim/v2
	Types    []*ResourceType
	MaxPage  int   // resources of a page
	MaxBody  int64 // bytes of a request
	Security []any // authenticationSchemes (RFC 7643, section 5)
	// Admit waits until a request may run; leave is to be called when its answer is ready. The error is that it may not. nil: all may at once.
	Admit func(ctx context.Context) (leave func(), err error)
	// Translate returns what a client is told of an error of a Store; nil: that is not for clients.
	Translate func(ctx context.Context, err error) *Error
	Logger    *slog.Logger // hears of errors that are not for clients
}

// answer is what is sent.
type answer struct {
	status int
	header http.Header
	body   Resource // nil: none
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBody)) // first: a client that sends slowly takes no other's place
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		WriteError(w, Failed(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", s.MaxBody))
		return
	} else if err != nil {
		WriteError(w, Failed(http.StatusBadRequest, "the body could not be read to its end"))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	if r.Method == http.MethodHead { // net/http sends no body
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	leave := func() {}
	if s.Admit != nil {
		if leave, err = s.Admit(r.Context()); err != nil {
			w.Header().Set("Retry-After", "1")
			WriteError(w, Failed(http.StatusServiceUnavailable, "the server has too much to do: try again in 1 s"))
			return
		}
	}
	a, err := s.admitted(w, r, leave)
	if err != nil {
		WriteError(w, s.told(r, err))
		return
	}
	maps.Copy(w.Header(), a.header)
	write(w, a.status, a.body)
}

// admitted is answer, which leaves even if it panics.
func (s *Service) admitted(w http.ResponseWriter, r *http.Request, leave func()) (answer, error) {
	defer leave()
	return s.answer(w, r)
}

// told returns what a client is told of an error.
func (s *Service) told(r *http.Request, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	var e *Error
	if s.Translate != nil {
		e = s.Translate(r.Context(), err)
	}
	if e == nil {
		e = Failed(http.StatusInternalServerError, "internal server error")
	}
	if e.Status >= http.StatusInternalServerError {
		cmp.Or(s.Logger, slog.Default()).ErrorContext(r.Context(), "a SCIM request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return e
}

// WriteError answers with an error.
func WriteError(w http.ResponseWriter, e *Error) { write(w, e.Status, e.body()) }

// write answers with a body, if there is one.
func write(w http.ResponseWriter, status int, body Resource) {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // of what JSON has
	w.Header().Set("Content-Type", MediaType)
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // if it fails, the client has gone
}

// notAllowed answers a request whose method its path does not have.
func notAllowed(w http.ResponseWriter, methods ...string) error {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return Failed(http.StatusMethodNotAllowed, "the method must be %s", strings.Join(methods, " or "))
}

func (s *Service) answer(w http.ResponseWriter, r *http.Request) (answer, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, s.Base), "/")
	switch first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); first {
	case "ServiceProviderConfig", "Schemas", "ResourceTypes":
		if r.Method != http.MethodGet {
			return answer{}, notAllowed(w, http.MethodGet, http.MethodHead)
		}
		return s.discover(r, first, rest)
	case "Me", "Bulk", ".search": // RFC 7644, sections 3.11, 3.7 and 3.4.2.1
		return answer{}, Failed(http.StatusNotImplemented, "this server has no /%s", first)
	case "":
		return answer{}, Failed(http.StatusNotImplemented, "this server has no queries of all types at once")
	}
	for _, t := range s.Types {
		rest, ok := strings.CutPrefix(path+"/", t.Endpoint+"/")
		if !ok {
			continue
		}
		switch id := strings.TrimSuffix(rest, "/"); {
		case id == "":
			return s.collection(w, r, t)
		case id == ".search":
			return s.search(w, r, t)
		case !strings.Contains(id, "/"):
			return s.resource(w, r, t, id)
		}
	}
	return answer{}, Failed(http.StatusNotFound, "there is nothing at %s", clip(r.URL.Path))
}

// collection answers a request for the resources of a type.
func (s *Service) collection(w http.ResponseWriter, r *http.Request, t *ResourceType) (answer, error) {
	switch r.Method {
	case http.MethodGet:
		wanted, err := searchOf(r.URL.Query())
		if err != nil {
			return answer{}, err
		}
		return s.list(r, t, wanted)
	case http.MethodPost:
		selection, described, err := given(r, t)
		if err != nil {
			return answer{}, err
		}
		made, err := t.Store.Create(r.Context(), described, selection)
		if err != nil {
			return answer{}, err
		}
		return s.found(r, t, made, selection, http.StatusCreated), nil
	}
	return answer{}, notAllowed(w, http.MethodGet, http.MethodHead, http.MethodPost)
}

// search answers a POST that asks for a list.
func (s *Service) search(w http.ResponseWriter, r *http.Request, t *ResourceType) (answer, error) {
	if r.Method != http.MethodPost {
		return answer{}, notAllowed(w, http.MethodPost)
	}
	message, err := body(r)
	if err != nil {
		return answer{}, err
	}
	wanted, err := searchIn(message)
	if err != nil {
		return answer{}, err
	}
	return s.list(r, t, wanted)
}

func (s *Service) list(r *http.Request, t *ResourceType, wanted search) (answer, error) {
	q, err := wanted.query(t, s.MaxPage)
	if err != nil {
		return answer{}, err
	}
	page, err := t.Store.List(r.Context(), q)
	if err != nil {
		return answer{}, err
	}
	resources := []any{}
	for _, one := range page.Resources {
		resources = append(resources, t.project(s.completed(r, t, one), q.Selection))
	}
	return answer{status: http.StatusOK, body: wanted.list(t, page, resources)}, nil
}

// given reads the resource of a request, and which attributes the answer is to have.
func given(r *http.Request, t *ResourceType) (selection Selection, described Resource, err error) {
	if selection, err = selected(r, t); err != nil {
		return selection, nil, err
	}
	message, err := body(r)
	if err != nil {
		return selection, nil, err
	}
	described, err = t.read(message)
	return selection, described, err
}

func selected(r *http.Request, t *ResourceType) (Selection, error) {
	return t.selection(names(r.URL.Query().Get("attributes")), names(r.URL.Query().Get("excludedAttributes")))
}

// resource answers a request for one resource.
func (s *Service) resource(w http.ResponseWriter, r *http.Request, t *ResourceType, id string) (answer, error) {
	ctx, match := r.Context(), matchOf(r.Header.Get("If-Match"))
	switch r.Method {
	case http.MethodGet:
		selection, err := selected(r, t)
		if err != nil {
			return answer{}, err
		}
		one, err := t.Store.Get(ctx, id, selection)
		if err != nil {
			return answer{}, err
		}
		return s.found(r, t, one, selection, http.StatusOK), nil
	case http.MethodPut:
		selection, described, err := given(r, t)
		if err != nil {
			return answer{}, err
		}
		one, err := t.Store.Replace(ctx, id, match, described, selection)
		if err != nil {
			return answer{}, err
		}
		return s.found(r, t, one, selection, http.StatusOK), nil
	case http.MethodPatch:
		return s.patch(r, t, id, match)
	case http.MethodDelete:
		return answer{status: http.StatusNoContent}, t.Store.Delete(ctx, id, match)
	}
	return answer{}, notAllowed(w, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete)
}

func (s *Service) patch(r *http.Request, t *ResourceType, id string, match Match) (answer, error) {
	selection, err := selected(r, t)
	if err != nil {
		return answer{}, err
	}
	message, err := body(r)
	if err != nil {
		return answer{}, err
	}
	all, err := t.operations(message)
	if err != nil {
		return answer{}, err
	}
	one, err := t.Store.Patch(r.Context(), id, match, all, selection)
	if err != nil {
		return answer{}, err
	}
	if one["id"] == nil { // RFC 7644, section 3.5.2: the answer may have no body
		return answer{status: http.StatusNoContent, header: http.Header{"Etag": {versionOf(one)}}}, nil
	}
	return s.found(r, t, one, selection, http.StatusOK), nil
}

// found is the answer that has a resource.
func (s *Service) found(r *http.Request, t *ResourceType, one Resource, selection Selection, status int) answer {
	one = s.completed(r, t, one)
	location := one["meta"].(Resource)["location"].(string)
	header := http.Header{"Etag": {versionOf(one)}, "Content-Location": {location}}
	if status == http.StatusCreated {
		header.Set("Location", location)
	}
	return answer{status, header, t.project(one, selection)}
}

// versionOf is the version of a resource.
func versionOf(r Resource) string {
	meta, _ := r["meta"].(Resource)
	version, _ := meta["version"].(string)
	return version
}

// completed is a resource with what every one has.
func (s *Service) completed(r *http.Request, t *ResourceType, one Resource) Resource {
	schemas := []any{t.Schema.URN}
	for _, e := range t.Extensions {
		if part, _ := one[e.URN].(Resource); len(part) > 0 {
			schemas = append(schemas, e.URN)
		}
	}
	meta, _ := one["meta"].(Resource)
	meta["resourceType"] = t.Name
	meta["location"] = s.base(r) + t.Endpoint + "/" + one["id"].(string)
	one["schemas"] = schemas
	return one
}

// base is the URL of the service, as the client knows it.
func (s *Service) base(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https://"
	}
	return scheme + r.Host + s.Base
}

// body reads the object that a request has.
func body(r *http.Request) (Resource, error) {
	media, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, given := options["charset"]
	if err != nil || media != MediaType && media != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return nil, Failed(http.StatusUnsupportedMediaType, "the body must be sent as Content-Type: %s, in UTF-8", MediaType)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, Failed(http.StatusUnsupportedMediaType, "the body must be sent without a Content-Encoding")
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var message Resource
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &message); err != nil || message == nil {
		return nil, Refuse(InvalidSyntax, "the body must be an object of JSON")
	}
	return message, unambiguous(message)
}

// discover answers what tells of the service itself (RFC 7644, section 4).
func (s *Service) discover(r *http.Request, what, id string) (answer, error) {
	if r.URL.Query().Has("filter") {
		return answer{}, Failed(http.StatusForbidden, "/%s cannot be filtered", what)
	}
	if what == "ServiceProviderConfig" {
		if id != "" {
			return answer{}, NotFound(id)
		}
		return answer{status: http.StatusOK, body: s.config(s.base(r))}, nil
	}
	all := []any{}
	for _, t := range s.Types {
		if what == "ResourceTypes" {
			all = append(all, t.json(s.base(r)))
			continue
		}
		for _, schema := range append([]*Schema{t.Schema}, t.Extensions...) {
			all = append(all, schema.json(s.base(r)))
		}
	}
	if id == "" {
		return answer{status: http.StatusOK, body: search{startIndex: 1}.list(nil, Page{Total: len(all)}, all)}, nil
	}
	i := slices.IndexFunc(all, func(one any) bool { return strings.EqualFold(one.(Resource)["id"].(string), id) })
	if i < 0 {
		return answer{}, NotFound(id)
	}
	return answer{status: http.StatusOK, body: all[i].(Resource)}, nil
}

// config is the service's configuration (RFC 7643, section 5, and RFC 9865, section 4).
func (s *Service) config(base string) Resource {
	return Resource{
		"schemas":        []any{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":          Resource{"supported": true},
		"bulk":           Resource{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         Resource{"supported": true, "maxResults": s.MaxPage},
		"changePassword": Resource{"supported": false},
		"sort":           Resource{"supported": false},
		"etag":           Resource{"supported": true},
		"pagination": Resource{
			"cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": s.MaxPage, "maxPageSize": s.MaxPage,
		},
		"authenticationSchemes": s.Security,
		"meta":                  Resource{"resourceType": "ServiceProviderConfig", "location": base + "/ServiceProviderConfig"},
	}
}
