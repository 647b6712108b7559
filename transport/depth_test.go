package transport

import (
	"strings"
	"testing"
)

func TestTheDepthOfJSONIsThatOfItsArraysAndObjects(t *testing.T) {
	for text, want := range map[string]int{
		``: 0, `1`: 0, `"[{"`: 0, `[]`: 1, `{}`: 1, `[[],[]]`: 2, `{"a":[{"b":1}],"c":{}}`: 3,
		`{"[[[[":"]]]]{{{{"}`: 1, `["\"[[[["]`: 1, `["\\",[]]`: 2, `["\\\"[",[[]]]`: 3, `"\`: 0,
		strings.Repeat("[", 1_000_000):                                1_000_000,
		strings.Repeat("{\"a\":", 1_000) + strings.Repeat("}", 1_000): 1_000,
	} {
		if got := depth([]byte(text)); got != want {
			t.Errorf("%.50s: want %d, got %d", text, want, got)
		}
	}
}

func TestVariablesThatAreNestedTooDeepAreRefused(t *testing.T) {
	nested := func(n int) *params {
		query, text := "{ one }", `{"v":`+strings.Repeat("[", n-1)+strings.Repeat("]", n-1)+"}"
		return &params{Query: &query, Variables: []byte(text)}
	}
	if _, refused := nested(maxNesting).raw(); refused != nil {
		t.Errorf("at the limit: %v", refused)
	}
	if _, refused := nested(maxNesting + 1).raw(); refused == nil || refused.code != CodeNesting {
		t.Errorf("one over: %v", refused)
	}
}
