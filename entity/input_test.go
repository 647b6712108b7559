package entity_test

import (
	"testing"
	"time"

	"rollcall/apierror"
	"rollcall/entity"
)

type rank string

type badge struct {
	ID    int64
	Rank  rank
	Since time.Time
	Worn  bool
	Of    *int64
}

// gqlgen gives an input's values as their Go types, some behind pointers; a file or Go code may give them as JSON has them.
func TestAnInputHasGoValuesOrThoseOfJSON(t *testing.T) {
	s := entity.NewSchema(10)
	badges := entity.Define(s, "Badge", "badges", func(b *badge) *int64 { return &b.ID })
	entity.Text(badges, "rank", func(b *badge) *rank { return &b.Rank }).Writable(nil)
	entity.Time(badges, "since", func(b *badge) *time.Time { return &b.Since }).Writable(nil)
	entity.Bool(badges, "worn", func(b *badge) *bool { return &b.Worn }).Writable(nil)
	entity.One(badges, "of", badges, func(b *badge) **int64 { return &b.Of }).Writable(nil)
	day, gold, worn, of := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), rank("GOLD"), true, "Badge:7"
	for _, input := range []entity.Input{
		{"rank": gold, "since": day, "worn": worn, "ofId": of},
		{"rank": &gold, "since": &day, "worn": &worn, "ofId": &of},
		{"rank": "GOLD", "since": "2026-01-31T12:00:00Z", "worn": true, "ofId": "Badge:7"},
	} {
		b, err := badges.New(input)
		if err != nil || b.Rank != gold || !b.Since.Equal(day) || !b.Worn || b.Of == nil || *b.Of != 7 {
			t.Errorf("%v became %+v, %v", input, b, err)
		}
	}
	for name, value := range map[string]any{"rank": 7, "since": "yesterday", "worn": "yes", "ofId": "Team:7", "id": 1, "colour": "red"} {
		if b, err := badges.New(entity.Input{name: value}); apierror.CodeOf(err) != apierror.CodeBadUserInput {
			t.Errorf("%s: %v became %+v, %v", name, value, b, err)
		}
	}
}
