package clustertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client sends operations to one server, or to haproxy.
type Client struct {
	Base  string
	Token string // of the API; "": without credentials
}

// patience is how long an answer may take: longer than haproxy waits.
const patience = 70 * time.Second

var requests = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: patience}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions struct {
			Code        string
			OperationID string
		}
	}

	err error
}

// The codes of what is no answer of Rollcall's.
const (
	Unanswered = "no answer"         // it may have been done
	Unsent     = "no server took it" // it was not done
)

// Send sends an operation. Headers are name, value, name, value.
func (c Client) Send(ctx context.Context, query string, variables map[string]any, headers ...string) Answer {
	return c.post(ctx, map[string]any{"query": query, "variables": variables}, headers...)
}

// Persisted sends the hash of a query, and the query itself only if it is to be registered.
func (c Client) Persisted(ctx context.Context, query string, register bool) Answer {
	request := map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": fmt.Sprintf("%x", sha256.Sum256([]byte(query)))}}}
	if register {
		request["query"] = query
	}
	return c.post(ctx, request)
}

func (c Client) post(ctx context.Context, request map[string]any, headers ...string) (a Answer) {
	body, err := json.Marshal(request)
	if err != nil {
		return Answer{err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Base+"/query", bytes.NewReader(body))
	if err != nil {
		return Answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := requests.Do(req)
	if err != nil {
		return Answer{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if a = (Answer{Status: res.StatusCode, Header: res.Header, err: err}); err == nil && strings.Contains(res.Header.Get("Content-Type"), "json") {
		a.err = json.Unmarshal(text, &a)
	}
	return a
}

// Code is that of the first error, Unanswered or Unsent; "" is a success.
func (a Answer) Code() string {
	switch {
	case errors.Is(a.err, syscall.ECONNREFUSED):
		return Unsent
	case a.err != nil:
		return Unanswered
	case len(a.Errors) > 0:
		return a.Errors[0].Extensions.Code
	case a.Status == http.StatusOK && len(a.Data) > 0:
		return ""
	case a.Status == http.StatusServiceUnavailable: // haproxy's own: none of its servers is ready
		return Unsent
	default: // haproxy's own: it has lost the server
		return Unanswered
	}
}

// Operation is the id of a mutation that has failed.
func (a Answer) Operation() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Extensions.OperationID
}

// At returns a value by its names, or nil. In a list a name is a number.
func (a Answer) At(names ...string) any {
	var value any = a.Data
	for _, name := range names {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// Text is At for a string, "" for another value.
func (a Answer) Text(names ...string) string {
	text, _ := a.At(names...).(string)
	return text
}

// String is for what a test reports.
func (a Answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	text, _ := json.Marshal(map[string]any{"status": a.Status, "data": a.Data, "errors": a.Errors})
	return string(text)
}
