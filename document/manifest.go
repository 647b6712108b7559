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
// GraphQL Code Generator's persisted-documents.json), or Apollo's manifest. There are none where name is empty. An error
// names the file and what is wrong with it.
func ReadFile(name string) (map[string]string, error) {
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

func readManifest(text []byte) (map[string]string, error) {
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
