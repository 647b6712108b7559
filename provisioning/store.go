package provisioning

import (
	"context"
	"fmt"
	"time"

	"rollcall/entity"
	"rollcall/scim"
	"rollcall/session"
)

// store is what the stores of both types have in common.
type store[T any] struct {
	Config
	noun    string // what the resources are called in logs
	filters filters
	read    func(ctx context.Context, id string) (*T, error) // nil: there is none
	count   func(ctx context.Context, filter map[string]any) (int64, error)
	find    func(ctx context.Context, filter map[string]any, p entity.Portion) ([]*T, error)
	id      func(*T) int64
	// describe returns objects as resources.
	describe func(ctx context.Context, objects []*T, sel scim.Selection) ([]scim.Resource, error)
}

// run runs the only unit of work of a request. what says what it does, for logs.
func (s *store[T]) run(ctx context.Context, kind session.Kind, what string, fn func(ctx context.Context) error) error {
	w := workOf(ctx)
	if w == nil {
		w = &Work{}
		ctx = WithWork(ctx, w)
	}
	w.Began, w.Pools, w.Kind, w.Operation = time.Now(), s.Pools, kind, session.NewOperation(w.Operation.ID, kind.String(), "SCIM: "+what)
	if err := w.Call(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", w.Operation, err)
	}
	return nil
}

// Get implements scim.Store. Statements: one, and see describe.
func (s *store[T]) Get(ctx context.Context, id string, sel scim.Selection) (r scim.Resource, err error) {
	err = s.run(ctx, session.Read, "get a "+s.noun, func(ctx context.Context) error {
		object, err := s.read(ctx, id)
		if err != nil {
			return err
		}
		if object == nil {
			return scim.NotFound(id)
		}
		r, err = s.one(ctx, object, sel)
		return err
	})
	return r, err
}

// List implements scim.Store. Statements: one that counts, one that reads, and see describe.
func (s *store[T]) List(ctx context.Context, q scim.Query) (page scim.Page, err error) {
	filter, err := s.filters.list(q.Filter)
	if err != nil {
		return page, err
	}
	from, err := after(q.After)
	if err != nil {
		return page, err
	}
	err = s.run(ctx, session.Read, "list "+s.noun+"s", func(ctx context.Context) error {
		total, err := s.count(ctx, filter)
		if err != nil {
			return err
		}
		page = scim.Page{Total: int(total)}
		if q.Limit == 0 {
			return nil
		}
		objects, err := s.find(ctx, filter, entity.Portion{After: from, Skip: q.Skip, Limit: q.Limit + 1})
		if err != nil {
			return err
		}
		if len(objects) > q.Limit {
			objects = objects[:q.Limit]
			page.Last = keyOf(s.id(objects[q.Limit-1]))
		}
		page.Resources, err = s.describe(ctx, objects, q.Selection)
		return err
	})
	return page, err
}

// one is an object as a resource. Statements: see describe.
func (s *store[T]) one(ctx context.Context, object *T, sel scim.Selection) (scim.Resource, error) {
	all, err := s.describe(ctx, []*T{object}, sel)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}
