package keyset

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// A cursor is this in base64url, without padding: the version, the tag, the row's id as a varint, and what the list is sorted by.
const cursorVersion = 1

// tag tells the cursors of one list, order and filter from others.
type tag [6]byte

// tag returns the tag of a list's cursors, whatever the list's parent: an argument is one for the lists of many.
func (k Key) tag(list string) (t tag) {
	by := ""
	if k.Order.By != nil {
		by = k.Order.By.Name
	}
	condition, args := k.Filter.split()
	text := strconv.AppendQuote(make([]byte, 0, 128), list)
	text = strconv.AppendQuote(append(text, ' '), by)
	text = strconv.AppendBool(append(text, ' '), k.Order.Descending)
	if k.Search.given() {
		found := k.Search.looked.Value()
		text = strconv.AppendQuote(strconv.AppendQuote(text, found.phrase), found.words)
	}
	text = strconv.AppendQuote(text, condition)
	for _, arg := range args {
		text = fmt.Appendf(text, "%T %q", arg, fmt.Sprint(arg))
	}
	h := fnv.New64a()
	_, _ = h.Write(text)
	copy(t[:], h.Sum(nil))
	return t
}

// cursor returns the cursor of a row.
func (t tag) cursor(p place) string {
	b := make([]byte, 0, 1+len(t)+binary.MaxVarintLen64+len(p.sorted))
	b = append(append(b, cursorVersion), t[:]...)
	b = append(binary.AppendUvarint(b, uint64(p.id)), p.sorted...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Cursor returns the opaque cursor of the row with an id in a list, by the list's name, in a key's order and with its filter. sorted
// is the value that the list is sorted by, "" where that is the id alone.
func Cursor(list string, key Key, id int64, sorted string) string {
	return key.tag(list).cursor(place{id, sorted})
}

// ParseCursor returns what Cursor was given, unless the text is not such a cursor of this very list, order and filter.
func ParseCursor(list string, key Key, cursor string) (id int64, sorted string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	tag := key.tag(list)
	begin := 1 + len(tag)
	if err != nil || len(b) < begin {
		return 0, "", false
	}
	number, n := binary.Uvarint(b[begin:])
	if n <= 0 {
		return 0, "", false
	}
	p := place{int64(number), string(b[begin+n:])}
	if p.id <= 0 || !key.Order.has(p.sorted) || tag.cursor(p) != cursor { // so each place has one cursor
		return 0, "", false
	}
	return p.id, p.sorted, true
}

// has reports whether a list may be sorted by a value.
func (o Order) has(sorted string) bool {
	switch {
	case o.By == nil:
		return sorted == ""
	case o.By.Time:
		return isTime(sorted)
	case o.By.Number:
		n, err := strconv.ParseInt(sorted, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == sorted
	case o.By == Relevance && (sorted == "" || sorted[0] != beginning && sorted[0] != matching):
		return false
	default:
		return storable(sorted)
	}
}

// isTime reports whether a text is a time as one of the databases writes it, such that all of them take it.
func isTime(s string) bool {
	t, err := time.Parse("2006-01-02 15:04:05", strings.TrimSuffix(plainTime(s), "+00:00"))
	return err == nil && t.Year() > 0 && !strings.Contains(s, ",") // which Go takes for a point
}

// plainTime is a time without the form of UTC that PostgreSQL alone knows.
func plainTime(s string) string { return strings.TrimSuffix(s, "+00") }
