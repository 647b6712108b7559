package transport

import (
	"encoding/json"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// buffers are for bodies and answers.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxReused is how many bytes a buffer may have to be used again. Longer ones are left to the garbage collector.
const maxReused = 1 << 20

// reuse gives a buffer back.
func reuse(buffer *[]byte) {
	if cap(*buffer) <= maxReused {
		buffers.Put(buffer)
	}
}

// appendResponse appends a response as JSON. One that was never executed has no data.
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

// appendIncrement appends a part after the first one of an answer, as deferSpec=20220824 has it.
func appendIncrement(b []byte, r *graphql.Response) []byte {
	b = append(b, `{"incremental":[{`...)
	if r.Data != nil && r.Path != nil {
		b = append(appendKey(b, "data"), r.Data...)
	}
	b = appendMember(b, "path", append(ast.Path{}, r.Path...))
	if r.Label != "" {
		b = appendMember(b, "label", r.Label)
	}
	if len(r.Errors) > 0 {
		b = appendMember(b, "errors", r.Errors)
	}
	b = append(b, "}]"...)
	return appendRest(b, r)
}

// appendRest appends the end that every form of a response has.
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
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), key...), '"', ':')
}

func appendMember(b []byte, key string, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil { // of an extension that cannot be JSON
		text = []byte("null")
	}
	return append(appendKey(b, key), text...)
}
