package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/access"
	"rollcall/batch"
	"rollcall/operation"
	"rollcall/session"
)

// reports is the gqlgen extension by which a client that sends the extension {"report": true} finds in the answer's extensions.report what its operation
// has done. Who may not know that finds there why.
type reports struct {
	production bool // who is no ADMIN may not know
	cost       func(*graphql.OperationContext) int
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = &reports{}

// asked is whether an operation that asks for a report has one.
type asked struct{ allowed bool }

const reportExtension = "Report"

// ExtensionName names the extension in gqlgen's statistics.
func (*reports) ExtensionName() string { return reportExtension }

// Validate accepts every schema.
func (*reports) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext notes which operations ask for a report.
func (r *reports) MutateOperationContext(ctx context.Context, oc *graphql.OperationContext) *gqlerror.Error {
	if oc.Extensions["report"] != true {
		return nil
	}
	allowed := !r.production
	if viewer := access.ViewerOf(ctx); viewer != nil {
		allowed = allowed || access.HasRole(viewer.Role, access.RoleAdmin) && viewer.Within(access.ScopeRead)
	}
	oc.Stats.SetExtension(reportExtension, asked{allowed})
	return nil
}

// wanted reports whether an operation has a report.
func wanted(oc *graphql.OperationContext) bool {
	a, _ := oc.Stats.GetExtension(reportExtension).(asked)
	return a.allowed
}

// newReports returns the extension, and has the plan tell of operations; of the batches of all of them or, unless all is true, of those with a report.
func newReports(plan *batch.Plan, production, all bool, cost func(*graphql.OperationContext) int) *reports {
	plan.Traces = func(oc *graphql.OperationContext) bool { return all || wanted(oc) }
	plan.Within = func(ctx context.Context, batch int) context.Context { return session.For(ctx, batch) }
	plan.Answered = func(ctx context.Context, planned bool, why string) {
		from := "resolvers"
		if planned {
			from = "plan"
		}
		operation.AnsweredFrom(ctx, from, why)
	}
	return &reports{production: production, cost: cost}
}

// traceOr returns trace, but that operations with a report have their statements kept.
func (*reports) traceOr(trace func(*graphql.OperationContext) *session.Trace) func(*graphql.OperationContext) *session.Trace {
	return func(oc *graphql.OperationContext) (t *session.Trace) {
		if trace != nil {
			t = trace(oc)
		}
		if t == nil && wanted(oc) {
			t = &session.Trace{}
		}
		return t
	}
}

// report is what a client is told of its operation. Times are in milliseconds, since it began.
type report struct {
	ID           string             `json:"id"`
	DurationMs   float64            `json:"durationMs"`
	DatabaseMs   float64            `json:"databaseMs"`
	Cost         int                `json:"cost"`
	Attempts     int                `json:"attempts"`
	Rows         int64              `json:"rows"`
	AnsweredFrom string             `json:"answeredFrom,omitempty"`
	Why          string             `json:"why,omitempty"`
	Fields       []*reportField     `json:"fields"`
	Batches      []*reportBatch     `json:"batches"`
	Statements   []*reportStatement `json:"statements"`
	Dropped      int                `json:"moreStatements,omitempty"`
}

// refusedReport is what a client is told who may not know.
type refusedReport struct {
	Refused string `json:"refused"`
}

type reportField struct {
	Name    string         `json:"name"`
	Field   string         `json:"field"`
	Objects int            `json:"objects"`
	Keys    int            `json:"keys"`
	Hits    int            `json:"cacheHits"`
	Batch   *int           `json:"batch"` // an index of Batches
	Fields  []*reportField `json:"fields,omitempty"`
}

type reportBatch struct {
	Field      string  `json:"field,omitempty"`
	Keys       int     `json:"keys"`
	Planned    bool    `json:"planned"`
	AtMs       float64 `json:"atMs"`
	DurationMs float64 `json:"durationMs"`
	Failed     bool    `json:"failed,omitempty"`
	Statements []int   `json:"statements"` // indexes of Statements
}

type reportStatement struct {
	SQL        string  `json:"sql"`
	AtMs       float64 `json:"atMs"`
	DurationMs float64 `json:"durationMs"`
	Rows       int64   `json:"rows"`
	Attempt    int     `json:"attempt"`
	Batch      *int    `json:"batch"`
	Failed     bool    `json:"failed,omitempty"`
}

// explain is operation.Extension.Explain.
func (r *reports) explain(ctx context.Context, done operation.Report) any {
	a, is := done.Context.Stats.GetExtension(reportExtension).(asked)
	switch {
	case !is:
		return nil
	case !a.allowed:
		return refusedReport{"on this server a report is for the role " + access.RoleAdmin + ", and of API tokens for those with the scope " + access.ScopeRead}
	}
	began := time.Now().Add(-done.Duration)
	at := func(t time.Time) float64 { return operation.Milliseconds(t.Sub(began)) }
	told := &report{
		ID: operation.ID(ctx), DurationMs: operation.Milliseconds(done.Duration), DatabaseMs: operation.Milliseconds(done.Spent), Cost: r.cost(done.Context), Attempts: done.Attempts,
		Rows: done.Rows, AnsweredFrom: done.From, Why: done.Why,
		Fields: []*reportField{}, Batches: []*reportBatch{}, Statements: []*reportStatement{},
	}
	if trace := batch.TraceOf(ctx); trace != nil {
		told.Fields = append(told.Fields, fieldsOf(trace.Fields)...)
		for _, b := range trace.Batches {
			told.Batches = append(told.Batches, &reportBatch{
				Field: b.Field, Keys: b.Keys, Planned: b.Planned, AtMs: at(b.Began), DurationMs: operation.Milliseconds(b.Duration), Failed: b.Failed, Statements: []int{},
			})
		}
	}
	statements, more := done.Trace.Statements()
	told.Dropped = more
	for i, s := range statements {
		one := &reportStatement{SQL: s.SQL, AtMs: at(s.Began), DurationMs: operation.Milliseconds(s.Duration), Rows: s.Rows, Attempt: s.Attempt, Failed: s.Failed}
		if n, ok := s.For.(int); ok && s.Attempt == done.Attempts && n < len(told.Batches) { // the batches are those of the last attempt
			one.Batch = &n
			told.Batches[n].Statements = append(told.Batches[n].Statements, i)
		}
		told.Statements = append(told.Statements, one)
	}
	return told
}

func fieldsOf(fields []batch.FieldTrace) (all []*reportField) {
	for _, f := range fields {
		one := &reportField{Name: f.Name, Field: f.Field, Objects: f.Objects, Keys: f.Keys, Hits: f.Hits, Fields: fieldsOf(f.Fields)}
		if f.Batch >= 0 {
			one.Batch = &f.Batch
		}
		all = append(all, one)
	}
	return all
}
