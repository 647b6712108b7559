package transport

import (
	"encoding/json"
	"sync"

	"github.com/99designs/gqlgen/graphql"
)

// buffers are for bodies and answers.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keep gives a buffer back. Those above mostKept bytes are left to the garbage collector.
func keep(buffer *[]byte) {
	if cap(*buffer) <= mostKept {
		buffers.Put(buffer)
	}
}

const mostKept = 1 << 20

// appendResponse appends a response as JSON. One without data, which was never executed, has no such key.
func appendResponse(b []byte, r *graphql.Response) []byte {
	b = append(b, '{')
	if len(r.Errors) > 0 {
		b = appendMember(b, "errors", r.Errors)
	}
	if r.Data != nil {
		b = append(appendKey(b, "data"), r.Data...)
	}
	return appendRest(b, r)
}

// appendIncrement appends what comes after the first part of an answer, in the form that clients know as
// deferSpec=20220824.
func appendIncrement(b []byte, r *graphql.Response) []byte {
	b = append(b, `{"incremental":[{`...)
	if r.Data != nil && r.Path != nil {
		b = append(appendKey(b, "data"), r.Data...)
	}
	b = appendMember(b, "path", append([]any{}, pathOf(r)...))
	if r.Label != "" {
		b = appendMember(b, "label", r.Label)
	}
	if len(r.Errors) > 0 {
		b = appendMember(b, "errors", r.Errors)
	}
	b = append(b, "}]"...)
	return appendRest(b, r)
}

func pathOf(r *graphql.Response) (path []any) {
	for _, element := range r.Path {
		path = append(path, element)
	}
	return path
}

// appendRest appends what every form of a response ends with.
func appendRest(b []byte, r *graphql.Response) []byte {
	if len(r.Extensions) > 0 {
		b = appendMember(b, "extensions", r.Extensions)
	}
	if r.HasNext != nil {
		b = appendMember(b, "hasNext", *r.HasNext)
	}
	return append(b, '}')
}

func appendKey(b []byte, key string) []byte {
	if last := b[len(b)-1]; last != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendMember(b []byte, key string, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil { // in an extension that somebody has set
		text = []byte("null")
	}
	return append(appendKey(b, key), text...)
}
