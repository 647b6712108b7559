package scalar_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"rollcall/scalar"
)

// hard are strings that are hard to write as JSON.
var hard = []string{
	"", "plain", `"`, `\`, `\"`, `\u0041`, "/", "\x00", "\b\f\n\r\t\v", "\x1f\x20\x7f", "é", "ünï", "日本語", "🦊", "\U0010ffff",
	"\u2028\u2029", "<&>", "\ufeff", "\ufffd", "\xff", "\xc3", "\xc3(", "a\xe2\x82", "\xf0\x9f\xa6", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80",
	"ok\xffok\"\xfe\\\x01", "\xffé\xff",
}

func TestAStringIsWrittenAsJSON(t *testing.T) {
	for _, s := range hard {
		wantJSON(t, s)
	}
	for c := range 256 {
		wantJSON(t, string([]byte{byte(c)}))
		wantJSON(t, string([]byte{'a', byte(c), 'b'}))
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range hard {
		f.Add(s)
	}
	f.Fuzz(wantJSON)
}

// wantJSON fails unless a string is written as JSON that reads as what encoding/json writes.
func wantJSON(t *testing.T, s string) {
	const before = "before"
	written := scalar.AppendString([]byte(before), s)
	if string(written[:len(before)]) != before {
		t.Errorf("%q: what was there is now %q", s, written[:len(before)])
	}
	written = written[len(before):]
	theirs, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got, want string
	if err := json.Unmarshal(theirs, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &got); err != nil || !utf8.Valid(written) {
		t.Errorf("%q: not JSON (%v): %q", s, err, written)
	}
	if got != want {
		t.Errorf("%q: want %q, got %q", s, want, got)
	}
}
