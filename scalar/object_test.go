package scalar_test

import (
	"strings"
	"testing"

	"rollcall/apierror"
	"rollcall/scalar"
)

func TestAnObjectIsWhatIsGiven(t *testing.T) {
	var o scalar.Object
	if err := o.UnmarshalGQL(map[string]any{"n": int64(1)}); err != nil || o["n"] != int64(1) {
		t.Errorf("it is %v: %v", o, err)
	}
	var out strings.Builder
	o.MarshalGQL(&out)
	if strings.TrimSpace(out.String()) != `{"n":1}` {
		t.Errorf("it is written as %s", out.String())
	}
	if err := o.UnmarshalGQL("n"); apierror.CodeOf(err) != apierror.CodeBadUserInput {
		t.Errorf("a string is taken for one: %v", err)
	}
}
