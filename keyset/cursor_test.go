package keyset

import (
	"fmt"
	"testing"
	"time"
)

var byName, byTime = Order{By: &Sort{Name: "NAME", Column: "t.name"}}, Order{By: &Sort{Name: "AT", Column: "t.at", Time: true}, Descending: true}

func TestACursorIsReadAsItWasMade(t *testing.T) {
	filtered := Key{Order: byName, Filter: Filter{}.And("t.id IN (?, ?)", int64(1), "x")}
	for _, c := range []struct {
		key    Key
		id     int64
		sorted string
	}{
		{Key{}, 1, ""},
		{Key{}, 1<<63 - 1, ""},
		{Key{Order: Order{Descending: true}}, 300, ""},
		{Key{Order: byName}, 7, ""},
		{Key{Order: byName}, 7, "Łódź\n\"\\"},
		{filtered, 7, "a"},
		{Key{Order: byTime}, 7, "2024-05-06 07:08:09.123456"},
		{Key{Order: byTime}, 7, "0001-01-01 00:00:00+00"},
		{Key{Order: byTime}, 7, "9999-12-31 23:59:59+00:00"},
	} {
		cursor := Cursor("List", c.key, c.id, c.sorted)
		id, sorted, ok := ParseCursor("List", c.key, cursor)
		if !ok || id != c.id || sorted != c.sorted {
			t.Errorf("%v: got %d, %q, %t", c, id, sorted, ok)
		}
		if _, _, ok := ParseCursor("List", c.key, cursor[:len(cursor)-1]); ok && c.sorted == "" {
			t.Errorf("%v is read without its end", c)
		}
	}
}

func TestEachListOrderAndFilterHasCursorsOfItsOwn(t *testing.T) {
	filter := func(condition string, args ...any) Filter { return Filter{}.And(condition, args...) }
	type list struct {
		name string
		key  Key
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	all := []list{
		{"A", Key{}},
		{"B", Key{}},
		{"A", Key{Order: Order{Descending: true}}},
		{"A", Key{Order: byName}},
		{"A", Key{Order: Order{By: byName.By, Descending: true}}},
		{"A", Key{Filter: filter("a = ?", "1")}},
		{"A", Key{Filter: filter("a = ?", int64(1))}},
		{"A", Key{Filter: filter("b = ?", "1")}},
		{"A", Key{Filter: filter("a = ?", "1\" \"2")}},
		{"A", Key{Filter: filter("a = ?", "1", "2")}},
		{"A", Key{Filter: filter("a = ?", at)}},
		{"A", Key{Filter: filter("a = ?", at.Add(1))}},
		{"A", Key{Order: byName, Filter: filter("a = ?", "1")}},
	}
	seen := map[tag]int{}
	for i, l := range all {
		tag := l.key.tag(l.name)
		if j, taken := seen[tag]; taken {
			t.Errorf("%v and %v have the same cursors", all[j], l)
		}
		seen[tag] = i
		l.key.Parent, l.key.Window.Size = Of(5), 7
		if again := l.key.tag(l.name); again != tag {
			t.Errorf("%v has other cursors with another parent or page", l)
		}
	}
}

// A window is read by the index of its order: from its cursor on, without what comes before.
func TestAWindowIsReadFromItsCursorOn(t *testing.T) {
	list := List{Name: "List", From: "rows t", ID: "t.id"}
	for _, c := range []struct {
		order       Order
		id          int64
		sorted      string
		first, last string // the statement's end
		args        []any
	}{
		{Order{}, 5, "", "WHERE t.id >= ? ORDER BY t.id LIMIT ?", "WHERE t.id <= ? ORDER BY t.id DESC LIMIT ?", []any{int64(5), int64(4)}},
		{Order{Descending: true}, 5, "", "WHERE t.id <= ? ORDER BY t.id DESC LIMIT ?", "WHERE t.id >= ? ORDER BY t.id LIMIT ?", []any{int64(5), int64(4)}},
		{
			byName, 5, "x", "WHERE t.name >= ? AND (t.name > ? OR t.id >= ?) ORDER BY t.name, t.id LIMIT ?",
			"WHERE t.name <= ? AND (t.name < ? OR t.id <= ?) ORDER BY t.name DESC, t.id DESC LIMIT ?",
			[]any{"x", "x", int64(5), int64(4)},
		},
		{
			byTime, 5, "2024-01-01 00:00:00+00", "WHERE t.at <= ? AND (t.at < ? OR t.id <= ?) ORDER BY t.at DESC, t.id DESC LIMIT ?",
			"WHERE t.at >= ? AND (t.at > ? OR t.id >= ?) ORDER BY t.at, t.id LIMIT ?",
			[]any{"2024-01-01 00:00:00", "2024-01-01 00:00:00", int64(5), int64(4)},
		},
	} {
		key := Key{Order: c.order}
		cursor := Cursor("List", key, c.id, c.sorted)
		for _, w := range []struct {
			size, place string
			want        string
		}{{"first", "after", c.first}, {"last", "before", c.last}} {
			var err error
			if key.Window, err = ParseWindow(map[string]any{w.size: int64(2), w.place: cursor}, "List", key, 10); err != nil {
				t.Fatal(err)
			}
			columns := "t.id"
			if c.order.By != nil {
				columns += ", " + c.order.By.key()
			}
			got := list.Rows([]Key{key}, []string{"t.id"})[0]
			if want := "SELECT " + columns + " FROM rows t " + w.want; got.Text != want || fmt.Sprint(got.Args) != fmt.Sprint(c.args) {
				t.Errorf("want %s %v, got %s %v", want, c.args, got.Text, got.Args)
			}
		}
	}
}
