package transport

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/document"
	"rollcall/operation"
)

// Validators give answers an ETag, by which a client that has one asks whether it is still what it would be answered (RFC 9110, section
// 13). If so, the answer is 304, and nothing runs. They are for queries by GET whose documents are named by id or hash, answered in one
// piece and without errors.
//
// The promise: a 304 says that nothing has been changed since before the answer with its ETag was read, so that this is what the operation
// would be answered now. It holds where Version is never behind what an operation reads later.
type Validators struct {
	// Version returns a text that is another one once anything has been changed that answers are made of: what is stored, or the program.
	// Where ok is false, it cannot tell: the operation runs, and its answer has no ETag. It is called before the operation runs, so
	// that what is changed meanwhile counts as later.
	Version func(ctx context.Context) (version string, ok bool)
	// Viewer returns who sends the request of a context, with all of that which an answer depends on. nil: answers are the same for all.
	Viewer func(ctx context.Context) string
	// Fields are the fields of Query that depend on nothing but Version, Viewer, the document and its variables, at any depth.
	// An operation with any other has no ETag. Introspection need not be named.
	Fields map[string]bool
}

// covers reports whether an operation has no root fields but those that the validators are for.
func (v *Validators) covers(set ast.SelectionSet) bool {
	return !slices.ContainsFunc(set, func(selection ast.Selection) bool {
		switch s := selection.(type) {
		case *ast.InlineFragment:
			return !v.covers(s.SelectionSet)
		case *ast.FragmentSpread:
			return !v.covers(s.Definition.SelectionSet)
		case *ast.Field:
			return !v.Fields[s.Name] && !strings.HasPrefix(s.Name, "__")
		}
		return true
	})
}

// tag returns the ETag that an operation's answer of a media type will have if it has no errors; "": it has none. It is weak, since the
// bytes differ by the compression.
func (v *Validators) tag(ctx context.Context, oc *graphql.OperationContext, media string) string {
	if v == nil || !v.covers(oc.Operation.SelectionSet) || oc.Operation.Directives.ForName("fresh") != nil {
		return ""
	}
	asked, err := json.Marshal([]any{oc.Variables, oc.Extensions})
	if err != nil { // something has put there what is no JSON
		return ""
	}
	version, ok := v.Version(ctx)
	if !ok {
		return ""
	}
	viewer := ""
	if v.Viewer != nil {
		viewer = v.Viewer(ctx)
	}
	h := sha256.New()
	for _, part := range []string{version, viewer, media, oc.RawQuery, oc.Operation.Name, string(asked)} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return `W/"` + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18]) + `"`
}

// get answers a query by GET in one piece, whose document may have been named by id. A cache may keep the answer: as the document's
// Cache-Control says, or else only the client's own, which asks each time.
func (x *exchange) get(ctx context.Context, oc *graphql.OperationContext, id string) {
	header, media := x.w.Header(), x.wanted.one()
	header["Cache-Control"] = private
	listed, _ := x.Documents.Find(id)
	tag := ""
	if id != "" && media != "" && !strings.Contains(listed.CacheControl, "no-store") {
		tag = x.Validators.tag(ctx, oc, media)
	}
	kept := func() { // the headers of an answer that may be kept
		if listed.CacheControl != "" {
			header["Cache-Control"] = []string{listed.CacheControl}
			if !strings.Contains(listed.CacheControl, "public") {
				header.Add("Vary", "Authorization") // a cache that clients use one after another asks again
			}
		}
		if tag != "" {
			header["Etag"] = []string{tag}
		}
	}
	asked := x.r.Header["If-None-Match"]
	if tag != "" && matches(asked, tag) {
		if x.payLess(ctx, oc) {
			document.Run(ctx, oc)
			x.request.Spare()
			kept()
			x.notModified()
		}
		return
	}
	if !x.pay(ctx, x.Limits.cost(oc)) {
		return
	}
	respond, ctx := x.exec.DispatchOperation(ctx, oc)
	response := respond(ctx)
	if media != "" && response != nil && len(response.Errors) == 0 {
		if len(response.Extensions) > 0 { // which may be anything
			tag = ""
		}
		if response.Extensions[operation.ReportExtension] == nil { // which is of this answer alone
			kept()
		}
		if tag != "" && anything(asked) {
			x.notModified()
			return
		}
	}
	x.write(response)
}

// notModified answers that what the client has is current.
func (x *exchange) notModified() {
	x.unmodified.Add(1)
	x.leave()
	x.request.Sent.Status = http.StatusNotModified
	_ = x.within.SetWriteDeadline(x.writeDeadline())
	x.w.WriteHeader(http.StatusNotModified)
}

// matches reports whether If-None-Match has an ETag. They are compared weakly (RFC 9110, section 8.8.3.2): W/ does not count. What is
// between the quotes of one of ours is never between those of two others.
func matches(headers []string, tag string) bool {
	opaque := strings.TrimPrefix(tag, "W/")
	return slices.ContainsFunc(headers, func(list string) bool { return strings.Contains(list, opaque) })
}

// anything reports whether If-None-Match is *: any answer will do that there is. Whether there is one shows when the operation has run.
func anything(headers []string) bool {
	return len(headers) == 1 && strings.TrimSpace(headers[0]) == "*"
}
