package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Codes of errors about documents that a client names instead of sending them.
const (
	CodeDocumentNotFound  = "PERSISTED_QUERY_NOT_FOUND"
	CodeDocumentNotListed = "PERSISTED_QUERY_NOT_IN_LIST" // and no other is allowed
	CodeDocumentRequired  = "PERSISTED_QUERY_ID_REQUIRED" // since no text is allowed
)

// Documents is the gqlgen extension that finds the documents that clients name: by documentId, as in
// https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md, or by
// extensions.persistedQuery.sha256Hash, as Apollo's clients do. It is installed before gqlgen's
// AutomaticPersistedQuery, which finds those hashes that it does not know.
type Documents struct {
	// Trusted is the documents by their ids (see ReadManifest).
	Trusted map[string]string
	// Only refuses whatever is not trusted.
	Only bool
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = Documents{}

// ExtensionName names the extension in gqlgen's statistics.
func (Documents) ExtensionName() string { return "Documents" }

// Validate accepts every schema.
func (Documents) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters puts the text of a document in the place of its id.
func (d Documents) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	id, automatic := named(params)
	text, ok := d.Trusted[id]
	if !ok {
		text, ok = d.Trusted[strings.TrimPrefix(id, "sha256:")]
	}
	switch {
	case ok && id != "":
		params.Query = text
		delete(params.Extensions, documentID)
		delete(params.Extensions, persistedQuery)
		return nil
	case d.Only && id == "":
		return refusedDocument(CodeDocumentRequired, "only documents that are listed can be run: send one's id instead of its text")
	case d.Only:
		return refusedDocument(CodeDocumentNotListed, "the document is not among those that are listed")
	case automatic:
		return checkAutomatic(params, id)
	case id == "" || params.Query != "":
		return nil
	}
	return refusedDocument(CodeDocumentNotFound, "there is no document of this id")
}

// checkAutomatic refuses what gqlgen's AutomaticPersistedQuery would refuse without a code.
func checkAutomatic(params *graphql.RawParams, id string) *gqlerror.Error {
	extension, _ := params.Extensions[persistedQuery].(map[string]any)
	sum := sha256.Sum256([]byte(params.Query))
	switch {
	case id == "" || extension["version"] != json.Number("1"):
		return refusedDocument(CodeBadRequest, "extensions.persistedQuery must be an object with version 1 and sha256Hash, a string")
	case params.Query != "" && id != hex.EncodeToString(sum[:]):
		return refusedDocument(CodeBadRequest, "extensions.persistedQuery.sha256Hash is not the hash of the query")
	}
	return nil
}

func refusedDocument(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}

// named returns the id by which a request names its document, or "", and whether Apollo's clients do it, who may send the
// text too.
func named(params *graphql.RawParams) (id string, automatic bool) {
	if id, ok := params.Extensions[documentID].(string); ok {
		return id, false
	}
	extension, _ := params.Extensions[persistedQuery].(map[string]any)
	id, _ = extension["sha256Hash"].(string)
	return id, params.Extensions[persistedQuery] != nil
}

// apolloFormat is how Apollo's manifests begin.
const apolloFormat = "apollo-persisted-query-manifest"

// ReadManifest reads a list of documents as build tools write it: an object from id to text (Relay's persisted queries,
// GraphQL Code Generator's persisted-documents.json), or Apollo's manifest.
func ReadManifest(text []byte) (map[string]string, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	if at := invalidUTF8(text); at >= 0 {
		return nil, fmt.Errorf("it is not UTF-8: it is wrong at byte %d", at)
	}
	if holdsLoneSurrogate(text) {
		return nil, errors.New(loneSurrogate)
	}
	var apollo struct {
		Format     string `json:"format"`
		Version    int    `json:"version"`
		Operations []struct {
			ID   string `json:"id"`
			Body string `json:"body"`
		} `json:"operations"`
	}
	if err := json.Unmarshal(text, &apollo); err == nil && apollo.Format != "" {
		if apollo.Format != apolloFormat || apollo.Version != 1 {
			return nil, fmt.Errorf("the format %q in version %d is not known: %q in version 1 is", apollo.Format, apollo.Version, apolloFormat)
		}
		documents := make(map[string]string, len(apollo.Operations))
		for i, o := range apollo.Operations {
			switch other, taken := documents[o.ID]; {
			case o.ID == "" || o.Body == "":
				return nil, fmt.Errorf("operation %d has no id or no body", i)
			case taken && other != o.Body:
				return nil, fmt.Errorf("two documents have the id %q", o.ID)
			}
			documents[o.ID] = o.Body
		}
		return documents, nil
	}
	var documents map[string]string
	if err := json.Unmarshal(text, &documents); err != nil || documents == nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("it is not JSON: %w, at byte %d", err, syntax.Offset)
		}
		return nil, errors.New("it must be a JSON object from ids to documents, or Apollo's manifest")
	}
	for id, document := range documents {
		if id == "" || document == "" {
			return nil, fmt.Errorf("the id %q or its document is empty", id)
		}
	}
	return documents, nil
}
