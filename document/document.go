// Package document finds the text of a GraphQL document that a client names instead of sending it, and has gqlparser read the
// strings of every document as the specification does.
package document

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/apierror"
)

// Codes of errors about documents that are named, in an error's extensions.code.
const (
	CodeNotFound   = "PERSISTED_QUERY_NOT_FOUND"
	CodeNotListed  = "PERSISTED_QUERY_NOT_IN_LIST" // and no other is allowed
	CodeIDRequired = "PERSISTED_QUERY_ID_REQUIRED" // since no text is allowed
)

// The extensions of a request that name a document in place of its text.
const (
	// IDExtension holds an id, as in https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md,
	// where a transport has put it.
	IDExtension = "documentId"
	// HashExtension holds a hash, as in https://www.apollographql.com/docs/apollo-server/performance/apq.
	HashExtension = "persistedQuery"
)

// ID returns the id by which a request names its document, or else the hash; "": it names none. Once Extension has put the text
// there, it is not known any more.
func ID(params *graphql.RawParams) string {
	if id, named := params.Extensions[IDExtension].(string); named {
		return id
	}
	_, hash := hashOf(params)
	return hash
}

// hashOf returns the extension by which a request names its document's hash, and the hash.
func hashOf(params *graphql.RawParams) (extension map[string]any, hash string) {
	extension, _ = params.Extensions[HashExtension].(map[string]any)
	hash, _ = extension["sha256Hash"].(string)
	return extension, hash
}

// Document is a document that was made known beforehand.
type Document struct {
	Text string
	// CacheControl is the header Cache-Control of its answers by GET; "": as it is for documents that are not listed.
	CacheControl string
}

// List is documents by id or hash.
type List map[string]Document

// Find returns the document of an id or a hash.
func (l List) Find(id string) (Document, bool) {
	found, ok := l[id]
	if !ok {
		found, ok = l[strings.TrimPrefix(id, "sha256:")]
	}
	return found, ok && id != ""
}

// Listed is a list whose place another one may take while it is in use. A nil one has no documents.
type Listed struct {
	list  atomic.Pointer[List]
	check func(List) // nil: there is nothing to check it with
}

// NewListed returns what has a list.
func NewListed(list List) *Listed {
	l := &Listed{}
	l.list.Store(&list)
	return l
}

// Replace has another list take the place of the one that is there.
func (l *Listed) Replace(list List) {
	if l.check != nil {
		l.check(list)
	}
	l.list.Store(&list)
}

// Find returns the document of an id or a hash.
func (l *Listed) Find(id string) (Document, bool) {
	if l == nil {
		return Document{}, false
	}
	return l.list.Load().Find(id)
}

// Extension is the gqlgen extension that puts the text of a document in the place of its id or hash, and normalizes the
// strings of every document. It is to be installed before all other extensions that read documents.
type Extension struct {
	// Listed is the documents that were made known beforehand (see ReadFile).
	Listed *Listed
	// ListedOnly refuses every document that is not listed.
	ListedOnly bool
	// Automatic keeps the documents that clients send together with their hash; nil: none are kept.
	Automatic *Automatic

	// Logger is warned at set-up of each listed document that will be refused by Rules; nil: it is not looked for.
	Logger *slog.Logger
	Rules  func() *rules.Rules // the server's
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationInterceptor
} = Extension{}

const extensionName = "Documents"

// ExtensionName names the extension in gqlgen's statistics.
func (Extension) ExtensionName() string { return extensionName }

// Validate warns of listed documents that do not fit the schema, and has Listed do so of those to come. It never fails.
func (e Extension) Validate(es graphql.ExecutableSchema) error {
	if e.Logger == nil || e.Listed == nil {
		return nil
	}
	e.Listed.check = func(list List) { e.warn(es.Schema(), list) }
	e.Listed.check(*e.Listed.list.Load())
	return nil
}

// warn logs which documents of a list do not fit the schema.
func (e Extension) warn(schema *ast.Schema, list List) {
	for id, listed := range list {
		normal, wrong := normalize(listed.Text)
		errs := gqlerror.List{wrong}
		if wrong == nil {
			_, errs = gqlparser.LoadQueryWithRules(schema, normal, e.Rules())
		}
		if errs != nil {
			e.Logger.Warn("a listed document does not fit the schema", "document", id, "error", errs)
		}
	}
}

// MutateOperationParameters gives a request the text of its document.
func (e Extension) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	err := e.find(ctx, params)
	if err == nil {
		params.Query, err = normalize(params.Query)
	}
	return err
}

// find puts the text of a document in the place of its id or hash.
func (e Extension) find(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	_, named := params.Extensions[IDExtension].(string)
	extension, hash := hashOf(params)
	id := ID(params)
	listed, ok := e.Listed.Find(id)
	switch {
	case ok:
		params.Query = listed.Text
		graphql.GetOperationContext(ctx).Stats.SetExtension(extensionName, isListed{})
		delete(params.Extensions, IDExtension)
		delete(params.Extensions, HashExtension)
	case e.ListedOnly && id == "":
		return refuse(CodeIDRequired, "only documents that are listed can be run: send one's id instead of its text")
	case e.ListedOnly:
		return refuse(CodeNotListed, "the document is not among those that are listed")
	case named && id != "" && params.Query == "":
		return refuse(CodeNotFound, "there is no document of this id")
	case params.Extensions[HashExtension] == nil:
	case hash == "" || extension["version"] != json.Number("1"):
		return refuse(string(apierror.CodeBadRequest), "extensions.persistedQuery must be an object with version 1 and sha256Hash, a string")
	default:
		return e.automatic(ctx, params, hash)
	}
	return nil
}

// InterceptOperation notes that an operation is run: by then nothing refuses it any more. Where its document is stored by that, the answer waits for it
// a little, so that whoever has it finds the document at every server.
func (Extension) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	stored := ran(ctx, graphql.GetOperationContext(ctx))
	respond := next(ctx)
	if stored == nil {
		return respond
	}
	latest, done := context.WithTimeout(ctx, storeFor)
	return func(ctx context.Context) *graphql.Response {
		response := respond(ctx)
		select {
		case <-stored:
		case <-latest.Done(): // and so the later parts of a stream do not wait
		}
		done()
		return response
	}
}

// automatic finds a document by its hash or, if its text was sent, has it kept once it is run.
func (e Extension) automatic(ctx context.Context, params *graphql.RawParams, hash string) *gqlerror.Error {
	r := &run{automatic: e.Automatic, hash: hash}
	if params.Query == "" {
		if r.Text = e.Automatic.find(ctx, hash); r.Text == nil {
			return refuse(CodeNotFound, "PersistedQueryNotFound") // by which Apollo's older clients know to send the text
		}
		params.Query = r.text
	} else if hash != hashOfText(params.Query) {
		return refuse(string(apierror.CodeBadRequest), "extensions.persistedQuery.sha256Hash is not the hash of the query")
	}
	if e.Automatic == nil {
		return nil
	}
	if r.Text == nil {
		var known bool
		if r.Text, known = e.Automatic.Memory.Get(ctx, hash); !known {
			r.Text, r.sent = &Text{text: params.Query}, true
		}
	}
	graphql.GetOperationContext(ctx).Stats.SetExtension(extensionName, r)
	return nil
}

// isListed is what gqlgen's statistics have of an operation whose document is listed.
type isListed struct{}

// IsListed reports whether an operation's document is one that was made known beforehand.
func IsListed(oc *graphql.OperationContext) bool {
	_, ok := oc.Stats.GetExtension(extensionName).(isListed)
	return ok
}

func refuse(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}
