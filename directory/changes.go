package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/batch"
	"rollcall/changelog"
	"rollcall/entity"
	"rollcall/keyset"
	"rollcall/model"
	"rollcall/scalar"
	"rollcall/session"
)

// declareChanges declares what the log of changes has.
func (d *Directory) declareChanges() {
	const change, field, page, edge = "Change", "FieldChange", "ChangeConnection", "ChangeEdge"
	type c = *model.Change
	type f = *model.FieldChange
	type p = *model.ChangeConnection
	type e = *model.ChangeEdge
	entity.AsOf(d.schema, d.asOf)
	entity.Dated[p](d.schema, page)
	d.schema.Sized("Query", "changes", "first")
	history(d, d.users, model.UserType)
	history(d, d.teams, model.TeamType)
	objectOf(d.schema, d.users, model.UserType)
	objectOf(d.schema, d.teams, model.TeamType)
	objectOf(d.schema, d.memberships, model.MembershipType)
	d.schema.AddFields(
		batch.Relation("Query", "changes", batch.NewSource(d.readChanges), d.logWindow),
		batch.Paths(page, "nodes", func(p p) []*model.Change { return p.Nodes }),
		batch.Paths(page, "edges", p.Edges),
		batch.Path(page, "pageInfo", p.PageInfo),
		batch.Value(page, "upToDate", func(b []byte, p p) []byte { return strconv.AppendBool(b, p.UpToDate) }).As("Boolean"),
		batch.Value(edge, "cursor", func(b []byte, e e) []byte { return scalar.AppendString(b, e.Cursor()) }).As("String"),
		batch.Path(edge, "node", func(e e) *model.Change { return e.Node }),
		batch.Value(change, "cursor", func(b []byte, c c) []byte { return scalar.AppendString(b, c.Cursor) }).As("String"),
		batch.Value(change, "at", func(b []byte, c c) []byte { return scalar.AppendTime(b, c.At) }).As("Time"),
		batch.Value(change, "kind", func(b []byte, c c) []byte { return scalar.AppendString(b, string(c.Kind)) }).As("String"),
		batch.Value(change, "type", func(b []byte, c c) []byte { return scalar.AppendString(b, string(c.Type)) }).As("String"),
		batch.Value(change, "objectId", func(b []byte, c c) []byte { return scalar.AppendString(b, c.GlobalID()) }).As("ID"),
		batch.Value(change, "version", func(b []byte, c c) []byte { return strconv.AppendInt(b, c.Version, 10) }).As("Int"),
		batch.Paths(change, "fields", c.FieldChanges),
		batch.Value(change, "erased", func(b []byte, c c) []byte { return strconv.AppendBool(b, c.Erased) }).As("Boolean"),
		batch.Value(change, "operationId", func(b []byte, c c) []byte { return scalar.AppendString(b, c.OperationID) }).As("ID"),
		batch.Value(change, "endsOperation", func(b []byte, c c) []byte { return strconv.AppendBool(b, c.EndsOperation) }).As("Boolean"),
		batch.Value(change, "actor", func(b []byte, c c) []byte { return scalar.AppendOptional(b, c.Actor) }).As("String"),
		batch.Value(field, "name", func(b []byte, f f) []byte { return scalar.AppendString(b, f.Name) }).As("String"),
		batch.Value(field, "before", func(b []byte, f f) []byte { return scalar.AppendOptional(b, f.Before) }).As("String"),
		batch.Value(field, "after", func(b []byte, f f) []byte { return scalar.AppendOptional(b, f.After) }).As("String"),
	)
}

// objectOf declares the objects of a type that changes are of.
func objectOf[T any](s *entity.Schema, o *entity.Object[T], typ model.ChangeType) {
	s.AddFields(batch.Relation("Change", "object", o.ByID(), batch.Key(func(c *model.Change) (int64, bool) {
		return c.ObjectID, c.Type == typ && !c.Removed()
	})))
}

// history declares the history of the objects of a type.
func history[T any](d *Directory, o *entity.Object[T], typ model.ChangeType) {
	number := func(c *model.Change) int64 { return c.ID }
	entity.Records(o, "history", "History", changelog.History(typ), changelog.Columns(), number,
		func(ctx context.Context, statements []keyset.Statement, relations func(of int64) access.Relations) (all []*model.Change, of []int64, err error) {
			_, err = d.settled(ctx, func() (unnumbered bool, err error) {
				all, of, unnumbered, err = d.Log.Rows(ctx, statements)
				return unnumbered, err
			})
			for _, c := range all {
				c.Hidden = o.Hidden(ctx, c.ObjectID, relations(c.ObjectID))
			}
			return all, of, err
		})
}

// OwnChanges returns a query of the log without what the viewer of ctx may not see of it: who may not read all of it sees the changes of themself, and who may
// not list API tokens sees none of theirs.
func (d *Directory) OwnChanges(ctx context.Context, q changelog.Query) changelog.Query {
	viewer := access.ViewerOf(ctx)
	if !d.schema.AllowsAll(ctx, "Query.apiTokens") {
		q.Except = append(slices.Clip(q.Except), model.APITokenType)
	}
	if d.schema.AllowsAll(ctx, "Query.changes") {
		return q
	}
	own := changelog.Object{Type: model.UserType, ID: viewer.UserID}
	if q.Objects != nil && !slices.Contains(q.Objects, own) {
		own.ID = 0 // nobody
	}
	q.Objects = []changelog.Object{own}
	return q
}

// Shown returns a change without the fields that the viewer of ctx may not see. The change itself may be others' too.
func (d *Directory) Shown(ctx context.Context, c *model.Change) *model.Change {
	var hidden []string
	switch c.Type {
	case model.UserType:
		hidden = d.users.Hidden(ctx, c.ObjectID, 0)
	case model.TeamType:
		hidden = d.teams.Hidden(ctx, c.ObjectID, 0)
	}
	if len(hidden) == 0 {
		return c
	}
	shown := *c
	shown.Hidden = hidden
	return &shown
}

// settled has the log read by changelog.Log.Settled. A mutation sees changes of its own that have no positions yet, and a snapshot never sees others': both
// read once.
func (d *Directory) settled(ctx context.Context, read func() (unnumbered bool, err error)) (late bool, err error) {
	session.Stay(ctx) // what is read later is to be from the server that has told of its changes
	return d.Log.Settled(ctx, func() (bool, error) {
		unnumbered, err := read()
		return unnumbered && session.KindOf(ctx) == session.Read, err
	})
}

// asOf reads where the log is.
func (d *Directory) asOf(ctx context.Context) (string, error) {
	session.Stay(ctx)
	now, err := d.Log.Now(ctx)
	return now.Cursor.String(), err
}

// window is what is asked for of the log. It is comparable, so that lists are strings.
type window struct {
	after             changelog.Cursor
	begins            bool // there is no after
	size              int
	kinds, types, ids string
}

// logWindow returns what the arguments of Query.changes ask for. The error is BAD_USER_INPUT.
func (d *Directory) logWindow(args batch.Args) (func(batch.Root) (window, bool), error) {
	size, err := keyset.ParseWindow(map[string]any{"first": args["first"]}, "", keyset.Key{}, d.MaxPage)
	if err != nil {
		return nil, err
	}
	w := window{begins: args["after"] == nil, size: int(size.Size)}
	if !w.begins {
		text, err := scalar.UnmarshalString(args["after"])
		if err == nil {
			w.after, err = changelog.ParseCursor("after", text)
		}
		if err != nil {
			return nil, err
		}
	}
	plain := func(_ string, value any) (string, error) { return scalar.UnmarshalString(value) }
	id := func(field string, value any) (string, error) {
		if text, ok := value.(string); ok { // a token is no node, and its changes are asked for like those of one
			if number, err := model.ParseAPITokenID(field, text); err == nil {
				return model.APITokenID(number), nil
			}
		}
		typ, number, err := d.schema.ParseID(field, value)
		return keyset.ID(typ, number), err
	}
	if w.kinds, err = d.listed(args, "kinds", plain); err == nil {
		if w.types, err = d.listed(args, "types", plain); err == nil {
			w.ids, err = d.listed(args, "ids", id)
		}
	}
	return func(batch.Root) (window, bool) { return w, true }, err
}

// listed returns the values of a list in an argument, "" where that is not given: in order, each once. The error is BAD_USER_INPUT.
func (d *Directory) listed(args batch.Args, name string, parse func(field string, value any) (string, error)) (string, error) {
	if args[name] == nil {
		return "", nil
	}
	list := graphql.CoerceList(args[name])
	switch {
	case len(list) == 0:
		return "", apierror.BadInput(name, "%s: name one, or leave it out for all", name)
	case len(list) > d.maxNamed():
		return "", keyset.TooLong(name, len(list), d.maxNamed())
	}
	all := make([]string, len(list))
	for i, value := range list {
		var err error
		if all[i], err = parse(fmt.Sprintf("%s.%d", name, i), value); err != nil {
			return "", err
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ","), nil
}

// maxNamed is how many objects may be named whose changes are asked for: as many as a page has, if one statement takes them.
func (d *Directory) maxNamed() int { return min(d.MaxPage, keyset.MaxKeys) }

// query is the window for the log.
func (w window) query() changelog.Query {
	q := changelog.Query{Field: "after", Limit: w.size, Kinds: split[model.ChangeKind](w.kinds), Types: split[model.ChangeType](w.types)}
	if !w.begins {
		q.After = &w.after
	}
	for _, id := range split[string](w.ids) {
		typ, number, _ := keyset.ParseID(id)
		q.Objects = append(q.Objects, changelog.Object{Type: model.ChangeTypeOf(typ), ID: number})
	}
	return q
}

// split returns the values that listed has joined.
func split[S ~string](joined string) (all []S) {
	if joined == "" {
		return nil
	}
	for part := range strings.SplitSeq(joined, ",") {
		all = append(all, S(part))
	}
	return all
}

// readChanges reads pages of the log, each with one statement, and all again if another server has just committed what belongs at the end of one. They wait for
// positions together: while nobody can give them, many pages take no longer than one.
func (d *Directory) readChanges(ctx context.Context, windows []window, _ batch.Columns) (map[window]*model.ChangeConnection, error) {
	read, refused := make(map[window]*changelog.Page, len(windows)), batch.KeysError[window]{}
	patience := time.Now().Add(changelog.CatchUp) // of all together
	late, err := d.settled(ctx, func() (unnumbered bool, err error) {
		for _, w := range windows {
			if refused[w] != nil {
				continue
			}
			q := d.OwnChanges(ctx, w.query())
			q.Patience = patience
			page, err := d.Log.Read(ctx, q)
			if known, ok := errors.AsType[*apierror.Error](err); ok {
				refused[w] = known
				continue
			}
			if err != nil {
				return false, err
			}
			read[w] = page
			unnumbered = unnumbered || page.Unnumbered && !page.More
		}
		return unnumbered, nil
	})
	if err != nil {
		return nil, err
	}
	pages := make(map[window]*model.ChangeConnection, len(windows))
	for w, page := range read {
		if refused[w] != nil {
			continue
		}
		for i, c := range page.Changes {
			page.Changes[i] = d.Shown(ctx, c)
		}
		pages[w] = &model.ChangeConnection{Nodes: page.Changes, Until: page.Until.String(), UpToDate: !page.More && !late}
	}
	if len(refused) > 0 {
		return pages, refused
	}
	return pages, nil
}
