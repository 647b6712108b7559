package sessiontest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// Sent is a GraphQL request as a client sends it.
type Sent struct {
	Query     string         `json:"query"`
	Operation string         `json:"operationName,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`

	Key    string      `json:"-"` // the header Idempotency-Key; "": none
	Header http.Header `json:"-"` // others
	URL    string      `json:"-"` // of the server; "": the bank's
}

// Post sends a request over HTTP, whatever the way of the test is.
func (b *Bank) Post(s Sent) Answer {
	b.tb.Helper()
	a, err := b.PostContext(context.Background(), s)
	if err != nil {
		b.tb.Error(err)
	}
	return a
}

// PostContext sends a request as a client who may go away.
func (b *Bank) PostContext(ctx context.Context, s Sent) (a Answer, err error) {
	body, err := json.Marshal(s)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cmp.Or(s.URL, b.URL), bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	maps.Copy(req.Header, s.Header)
	req.Header.Set("Content-Type", "application/json")
	if s.Key != "" {
		req.Header.Set("Idempotency-Key", s.Key)
	}
	res, err := b.Server.Client().Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	a = Answer{Status: res.StatusCode, Raw: string(raw), Header: res.Header}
	if err == nil && json.Unmarshal(raw, &a) != nil {
		err = fmt.Errorf("not JSON: %s", raw)
	}
	return a, err
}
