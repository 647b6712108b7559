package graphtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/apierror"
	"rollcall/changelog"
	"rollcall/directory/directorytest"
	"rollcall/model"
)

// Copy is a client's copy of the directory, made of the log alone: once of the changes' fields, once of their objects. The client may be cut
// off at any moment, and go on at any server.
type Copy struct {
	Cursor  string // up to which the copy is
	Replay  directorytest.Replay
	Objects map[string]Object // by id
}

// Object is the copy of an object, as JSON with ObjectFields.
type Object struct {
	Version int64
	Text    string
}

// ObjectFields is what an Object has.
const ObjectFields = `... on Node { id }
	... on User { version name email title status manager { id } }
	... on Team { version name parent { id } }
	... on Membership { version role user { id } team { id } }`

const (
	changeFields = `at kind objectId version operationId endsOperation erased fields { name before after } object { ` + ObjectFields + ` }`
	changesAfter = `subscription($after: String) { changes(after: $after) { cursor change { ` + changeFields + ` } } }`
	pageAfter    = `query($after: String, $first: Int) @snapshot { changes(after: $after, first: $first) { edges { cursor change: node { ` + changeFields + ` } } pageInfo { endCursor } } }`
)

// Page reads a page of at most first changes from a server's API at url. The code is that of what was refused; no answer has none. The error
// says what does not fit to what came before.
func (c *Copy) Page(ctx context.Context, url string, first int) (code apierror.Code, err error) {
	body := open(ctx, url, "application/json", pageAfter, map[string]any{"after": c.Cursor, "first": first})
	if body == nil {
		return "", nil
	}
	defer func() { _ = body.Close() }()
	var page struct {
		Data struct {
			Changes struct {
				Edges    []event
				PageInfo struct{ EndCursor string }
			}
		}
		Errors refusals
	}
	if err := json.NewDecoder(body).Decode(&page); err != nil || len(page.Errors) > 0 {
		return page.Errors.code(), nil // without one its server has ended
	}
	for _, e := range page.Data.Changes.Edges {
		if err := c.apply(e); err != nil {
			return "", err
		}
	}
	return "", c.apply(event{Cursor: page.Data.Changes.PageInfo.EndCursor})
}

// Follow subscribes, and reads the stream by way of through until it ends. It sends its cursor as a browser does, or as the argument. It
// returns what Page returns.
func (c *Copy) Follow(ctx context.Context, url string, asBrowser bool, through func(io.Reader) io.Reader) (code apierror.Code, err error) {
	variables, headers := map[string]any{"after": c.Cursor}, []string{}
	if asBrowser {
		variables["after"], headers = "is beaten", []string{"Last-Event-ID", c.Cursor}
	}
	body := open(ctx, url, "text/event-stream", changesAfter, variables, headers...)
	if body == nil {
		return "", nil
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(through(body))
	lines.Buffer(nil, 1<<20)
	for data := ""; lines.Scan(); { // what is amid an event at the end is not looked at
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			data = text
		}
		if lines.Text() != "" || data == "" {
			continue
		}
		var got struct {
			Data   struct{ Changes event }
			Errors refusals
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			return "", fmt.Errorf("not JSON: %q: %w", data, err)
		}
		if len(got.Errors) > 0 {
			return got.Errors.code(), nil
		}
		if err := c.apply(got.Data.Changes); err != nil {
			return "", err
		}
		data = ""
	}
	return "", nil
}

// open sends an operation and returns the answer's body, or nil if there is none. Headers are name, value, name, value.
func open(ctx context.Context, url, accept, query string, variables map[string]any, headers ...string) io.ReadCloser {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		panic(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil
	}
	return res.Body
}

// refusals are the errors of an answer.
type refusals []struct {
	Message    string
	Extensions struct{ Code apierror.Code }
}

func (r refusals) code() apierror.Code {
	if len(r) == 0 {
		return ""
	}
	return r[0].Extensions.Code
}

// event is an event of the subscription, or an edge of a page. Without a change it is a bookmark.
type event struct {
	Cursor string
	Change *struct {
		At            time.Time
		Kind          model.ChangeKind
		ObjectID      string
		Version       int64
		OperationID   string
		EndsOperation bool
		Erased        bool
		Fields        []json.RawMessage
		Object        json.RawMessage
	}
}

// apply brings the copy up to an event.
func (c *Copy) apply(e event) error {
	cursor, err := changelog.ParseCursor("cursor", e.Cursor)
	if err != nil {
		return err
	}
	if e.Change == nil {
		if cursor.Position != c.Replay.Last {
			return fmt.Errorf("a bookmark is at %d, and the last change was at %d", cursor.Position, c.Replay.Last)
		}
		c.Cursor = e.Cursor
		return nil
	}
	change, err := e.change(cursor.Position)
	if err == nil {
		err = c.Replay.Add(change)
	}
	if err != nil {
		return err
	}
	if c.Objects == nil {
		c.Objects = map[string]Object{}
	}
	if string(e.Change.Object) == "null" {
		delete(c.Objects, e.Change.ObjectID)
	} else if o := ObjectOf(e.Change.Object); o.Version >= c.Objects[e.Change.ObjectID].Version {
		c.Objects[e.Change.ObjectID] = o
	}
	c.Cursor = e.Cursor
	return nil
}

// change returns the row of the log that an event tells of.
func (e event) change(position int64) (*model.Change, error) {
	typ, digits, _ := strings.Cut(e.Change.ObjectID, ":")
	id, err := strconv.ParseInt(digits, 10, 64)
	fields := []map[string]json.RawMessage{}
	for _, text := range e.Change.Fields {
		var f struct {
			Name          json.RawMessage
			Before, After *string
		}
		err = errors.Join(err, json.Unmarshal(text, &f))
		of := map[string]json.RawMessage{"name": f.Name}
		if f.Before != nil {
			of["before"] = json.RawMessage(*f.Before)
		}
		if f.After != nil {
			of["after"] = json.RawMessage(*f.After)
		}
		fields = append(fields, of)
	}
	texts, wrong := json.Marshal(fields)
	return &model.Change{
		Position: position, At: e.Change.At, Kind: e.Change.Kind, Type: model.ChangeType(strings.ToUpper(typ)), ObjectID: id, Version: e.Change.Version,
		OperationID: e.Change.OperationID, EndsOperation: e.Change.EndsOperation, Erased: e.Change.Erased, Fields: texts,
	}, errors.Join(err, wrong)
}

// ObjectOf returns the copy of an object that was answered with ObjectFields.
func ObjectOf(text json.RawMessage) Object {
	var o struct{ Version int64 }
	if err := json.Unmarshal(text, &o); err != nil {
		panic(fmt.Sprintf("%s is no object: %v", text, err))
	}
	return Object{o.Version, string(text)}
}
