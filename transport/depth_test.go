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
