package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// apolloFormat is how Apollo's manifests begin.
const apolloFormat = "apollo-persisted-query-manifest"

// ReadFile reads a list of documents as build tools write it: an object from id to text (Relay's persisted queries,
// GraphQL Code Generator's persisted-documents.json), or Apollo's manifest. In both a document may have a cacheControl: in Apollo's it is
// another member of an operation, in the other form an object {"body": …, "cacheControl": …} is in the text's place. There are no
// documents where name is empty. An error names the file and what is wrong with it.
func ReadFile(name string) (List, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	documents, err := readManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return documents, nil
}

func readManifest(text []byte) (List, error) {
	text = bytes.TrimPrefix(text, ByteOrderMark)
	if at := InvalidUTF8(text); at >= 0 {
		return nil, fmt.Errorf("it is not UTF-8: it is wrong at byte %d", at)
	}
	if json.Valid(text) && HoldsLoneSurrogate(text) {
		return nil, errors.New(LoneSurrogate)
	}
	var apollo struct {
		Format     string `json:"format"`
		Version    int    `json:"version"`
		Operations []struct {
			ID string `json:"id"`
			entry
		} `json:"operations"`
	}
	if err := json.Unmarshal(text, &apollo); err == nil && apollo.Format != "" {
		if apollo.Format != apolloFormat || apollo.Version != 1 {
			return nil, fmt.Errorf("the format %q in version %d is not known: %q in version 1 is", apollo.Format, apollo.Version, apolloFormat)
		}
		documents := make(List, len(apollo.Operations))
		for i, o := range apollo.Operations {
			if o.ID == "" || o.Body == "" {
				return nil, fmt.Errorf("operation %d has no id or no body", i)
			}
			document, err := o.document(o.ID)
			if err != nil {
				return nil, err
			}
			if other, taken := documents[o.ID]; taken && other != document {
				return nil, fmt.Errorf("two documents have the id %q", o.ID)
			}
			documents[o.ID] = document
		}
		return documents, nil
	}
	var entries map[string]textOrEntry
	if err := json.Unmarshal(text, &entries); err != nil || entries == nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("it is not JSON: %w, at byte %d", err, syntax.Offset)
		}
		return nil, errors.New(`it must be a JSON object from ids to documents, each a text or {"body": …, "cacheControl": …}, or Apollo's manifest`)
	}
	documents := make(List, len(entries))
	for id, e := range entries {
		if id == "" || e.Body == "" {
			return nil, fmt.Errorf("the id %q or its document is empty", id)
		}
		document, err := e.document(id)
		if err != nil {
			return nil, err
		}
		documents[id] = document
	}
	return documents, nil
}

// entry is a document of a manifest.
type entry struct {
	Body         string  `json:"body"`
	CacheControl *string `json:"cacheControl"`
}

// document returns the document of an entry.
func (e *entry) document(id string) (Document, error) {
	if e.CacheControl == nil {
		return Document{Text: e.Body}, nil
	}
	header, err := cacheControl(*e.CacheControl)
	if err != nil {
		return Document{}, fmt.Errorf("the cacheControl of %q: %w", id, err)
	}
	return Document{e.Body, header}, nil
}

// textOrEntry is an entry that has a Body alone where a text is in its place.
type textOrEntry struct{ entry }

// UnmarshalJSON decodes it.
func (e *textOrEntry) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, &e.Body)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(&e.entry)
}
