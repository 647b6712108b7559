package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
)

const createWithKey = `mutation($input: CreateUserInput!, $key: String!) @idempotent(key: $key) { createUser(input: $input) { user { id name email createdAt } } }`

func TestAMutationThatIsSentAgainWithItsKeyChangesTheDirectoryOnce(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		first := d.must(createWithKey, "key", "a", "input", input{"name": "Ada", "email": "ada@example.com"})
		plain := len(d.withoutLog(d.sql.During(func() { d.must(createMutation, "input", input{"name": "Bea", "email": "bea@example.com"}) })))
		d.wantStatements(t, plain+2, func() {
			d.must(createWithKey, "key", "b", "input", input{"name": "Cai", "email": "cai@example.com"})
		})
		d.wantStatements(t, 2, func() {
			if again := d.must(createWithKey, "key", "a", "input", input{"name": "Ada", "email": "ada@example.com"}); again.raw != first.raw {
				t.Errorf("want %s, got %s", first.raw, again.raw)
			}
		})
		other := d.send(createWithKey, "key", "a", "input", input{"name": "Dan", "email": "dan@example.com"})
		if other.code(t) != "IDEMPOTENCY_MISMATCH" || other.Data != nil || other.Errors[0].Extensions["operationId"] == nil {
			t.Errorf("got %s", other.raw)
		}
		for range 2 {
			conflict := d.send(createWithKey, "key", "c", "input", input{"name": "Ada", "email": "ada@example.com"})
			if conflict.code(t) != "CONFLICT" {
				t.Errorf("got %s", conflict.raw)
			}
		}
		d.must(deleteMutation, "id", first.at(t, "createUser.user.id"))
		d.must(createWithKey, "key", "c", "input", input{"name": "Ada", "email": "ada@example.com"}) // which a refusal has not used up
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != 3.0 {
			t.Errorf("there are %v users, want 3", n)
		}
	})
}

func TestUsersThatAreCreatedThroughCutConnectionsAreCreatedOnce(t *testing.T) {
	users := number(t, "ROLLCALL_TEST_RETRIES", 60)
	onEveryDatabase(t, func(t *testing.T, d *directory) {
		var next, lost, replayed atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for n := int(next.Add(1)); n <= users; n = int(next.Add(1)) {
					for done := false; !done; {
						a, err := d.sendAndLose(n)
						switch {
						case err != nil:
							lost.Add(1)
						case a.code != "":
							t.Errorf("user %d: got %s", n, a.text)
							done = true
						default:
							done = true
							if a.replayed {
								replayed.Add(1)
							}
						}
					}
				}
			})
		}
		clients.Wait()
		if n := d.must(`{ users { totalCount } }`).at(t, "users.totalCount"); n != float64(users) {
			t.Errorf("there are %v users, want %d", n, users)
		}
		var rows int64
		if err := d.db.Write.Table("users").Count(&rows).Error; err != nil || rows != int64(users) {
			t.Errorf("there are %d rows, %v; want %d", rows, err, users)
		}
		if lost.Load() == 0 || replayed.Load() == 0 {
			t.Errorf("%d answers were lost and %d replayed", lost.Load(), replayed.Load())
		}
		t.Logf("%d users; %d answers were lost, and %d replayed", users, lost.Load(), replayed.Load())
	})
}

// received is an answer that has come whole.
type received struct {
	text, code string
	replayed   bool
}

// sendAndLose creates user n, and often goes away before it has the answer: amid its request, after it, or amid the answer.
func (d *directory) sendAndLose(n int) (a received, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	text, err := json.Marshal(map[string]any{
		"query":     `mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } } }`,
		"variables": map[string]any{"input": input{"name": fmt.Sprint("User ", n), "email": fmt.Sprintf("user%d@example.com", n)}},
	})
	if err != nil {
		return a, err
	}
	body := io.Reader(bytes.NewReader(text))
	switch rand.IntN(5) {
	case 0:
		body = io.MultiReader(bytes.NewReader(text[:len(text)/2]), brokenBody{})
	case 1:
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	case 2, 3:
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: cancel})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, body)
	if err != nil {
		return a, err
	}
	req.ContentLength, req.GetBody = int64(len(text)), nil // so that it is not sent again by itself
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf(`"user %d"`, n))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || ctx.Err() != nil {
		return a, errors.Join(err, ctx.Err())
	}
	var parsed answer
	a = received{text: string(raw), replayed: res.Header.Get("Idempotent-Replayed") == "true"}
	if err = json.Unmarshal(raw, &parsed); len(parsed.Errors) > 0 {
		a.code = parsed.code(d.tb)
	}
	return a, err
}

// brokenBody is the rest of a body that never comes.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("cut on purpose") }
