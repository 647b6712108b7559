package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/access"
	"rollcall/apierror"
	"rollcall/operation"
	"rollcall/provisioning"
	"rollcall/ratelimit"
	"rollcall/session"
	"rollcall/tracing"
	"rollcall/transport"
)

// operationLog writes a line for each operation that the flags ask for. It holds nothing of tokens, bodies and variables, but for --log-values.
type operationLog struct {
	config
	handler slog.Handler // to which --log-level does not matter
	cost    func(*graphql.OperationContext) int
	count   func(codes []string)
	tracer  *tracing.Tracer // nil: there is none

	mu     sync.Mutex
	failed int // in this second
	more   int // of these, for which there is no line
}

// maxFailed is how many lines a second has of what was refused or has failed, unless all are asked for: so neither clients nor an outage fill the log.
const maxFailed = 100

// admits reports whether there is a line for something more that was refused or has failed.
func (l *operationLog) admits() bool {
	if l.LogOperations == "all" {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == 0 {
		time.AfterFunc(time.Second, l.sum)
	}
	l.failed++
	if l.failed > maxFailed {
		l.more++
	}
	return l.failed <= maxFailed
}

// sum writes how many have no line of their own.
func (l *operationLog) sum() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more > 0 {
		line := &line{slog.NewRecord(time.Now(), slog.LevelInfo, "more operations were refused or have failed", 0)}
		line.add(slog.Int("operations", l.more))
		line.write(context.Background(), l.handler)
	}
	l.failed, l.more = 0, 0
}

// trace is operation.Extension.Trace: a statement is kept only for a line that would have it.
func (l *operationLog) trace(oc *graphql.OperationContext) *session.Trace {
	if oc.Operation.Operation == "subscription" {
		return nil
	}
	return l.keeper()
}

// keeper returns what keeps statements, if anything may want them.
func (l *operationLog) keeper() *session.Trace {
	if l.tracer == nil && (l.LogOperations == "off" || l.Slow == 0) {
		return nil
	}
	return &session.Trace{Values: l.LogValues}
}

// wants reports whether a line is written.
func (l *operationLog) wants(failed, slow bool) bool {
	switch l.LogOperations {
	case "all":
		return true
	case "slow":
		return failed || slow
	case "failed":
		return failed
	}
	return false
}

func (l *operationLog) slow(took time.Duration) bool { return l.Slow > 0 && took >= l.Slow }

// ended is operation.Extension.Ended.
func (l *operationLog) ended(ctx context.Context, op session.Operation, r operation.Report, s operation.Sent) {
	l.count(r.Codes)
	traceID := l.tracer.Ended(ctx, op, r, s)
	took := r.Waited + r.Duration
	stream := op.Kind == "subscription"
	failed := len(r.Codes) > 0 || r.Result == operation.ResultRefused || !stream && (r.Result == operation.ResultError || r.Result == operation.ResultPartial)
	slow := !stream && l.slow(took)
	if !l.wants(failed, slow) || failed && !slow && !l.admits() {
		return
	}
	line := l.line(ctx, op, s, string(r.Result), took)
	line.add(slog.String("trace_id", traceID), slog.String("codes", strings.Join(r.Codes, " ")), slog.String("why", r.Why), slog.Duration("waited", r.Waited))
	if r.Result != operation.ResultRefused && (r.Attempts > 0 || stream) {
		line.add(slog.Int64("statements", r.Statements), slog.Duration("database", r.Spent), slog.Int64("rows", r.Rows), slog.Int("attempts", r.Attempts))
	}
	if r.Context != nil && r.Context.Operation != nil && l.cost != nil && r.Context.Variables != nil {
		line.add(slog.Int("cost", l.cost(r.Context)))
	}
	line.add(slog.String("answered_from", r.From), slog.String("read_with", r.ReadWith))
	if stream {
		line.add(slog.Int("events", r.Events))
	}
	if r.Replayed {
		line.add(slog.Bool("replayed", true))
	}
	if all, more := r.Trace.Statements(); slow && len(all) > 0 {
		line.add(slog.Any("sql", slowest(all, more)))
	}
	line.write(ctx, l.handler)
}

// line is one line of the log.
type line struct{ slog.Record }

// add adds attributes, without those that are empty.
func (l *line) add(attrs ...slog.Attr) {
	for _, a := range attrs {
		if a.Value.Kind() == slog.KindString && a.Value.String() == "" || a.Value.Kind() == slog.KindDuration && a.Value.Duration() == 0 {
			continue
		}
		l.AddAttrs(a)
	}
}

func (l *line) write(ctx context.Context, to slog.Handler) { _ = to.Handle(ctx, l.Record) }

// line returns the beginning of a line.
func (l *operationLog) line(ctx context.Context, op session.Operation, s operation.Sent, result string, took time.Duration) *line {
	line := &line{slog.NewRecord(time.Now(), slog.LevelInfo, "operation", 0)}
	viewer := ""
	if v := access.ViewerOf(ctx); v != nil {
		viewer = v.Subject
	}
	client := ""
	if addr := ratelimit.AddrOf(ctx); addr.IsValid() {
		client = addr.String()
	}
	line.add(slog.String("id", op.ID), slog.String("name", op.Name), slog.String("type", op.Kind), slog.String("result", result),
		slog.String("viewer", viewer), slog.String("client", client), slog.String("transport", s.By))
	if s.Status != 0 {
		line.add(slog.Int("status", s.Status))
	}
	line.add(slog.Duration("duration", took), slog.Int64("bytes", s.Bytes))
	return line
}

// scim has a request of SCIM be an operation, under whose id its changes are stored. Its name has the path alone: what it asks for may name somebody.
func (l *operationLog) scim(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, counted, work := time.Now(), &countingWriter{ResponseWriter: w, ctx: r.Context()}, &provisioning.Work{}
		id := session.NewID()
		work.Operation.ID, work.Trace = id, l.keeper()
		w.Header().Set(operation.HeaderID, id)
		next.ServeHTTP(counted, r.WithContext(provisioning.WithWork(r.Context(), work)))
		status := cmp.Or(counted.status, http.StatusOK)
		report := operation.Report{
			Result: operation.ResultOK, Attempts: int(work.Attempts.Load()), Statements: work.Statements.Load(), Rows: work.Rows.Load(),
			Spent: time.Duration(work.Spent.Load()), Trace: work.Trace, Began: began, Duration: time.Since(began),
		}
		if !work.Began.IsZero() {
			report.Waited = work.Began.Sub(began)
			report.Duration -= report.Waited
		}
		switch {
		case slices.Contains(refusals, status) && report.Attempts == 0:
			report.Result = operation.ResultRefused
		case status >= http.StatusBadRequest:
			report.Result = operation.ResultError
		}
		if code := scimCodes[status]; code != "" {
			report.Codes = []string{string(code)}
		}
		op := session.NewOperation(id, tracing.SCIM, r.Method+" "+r.URL.Path)
		l.ended(counted.ctx, op, report, operation.Sent{By: tracing.SCIM, Status: status, Bytes: counted.bytes})
	})
}

// known notes who sends a request that scim has passed on.
func (*operationLog) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if counted, ok := w.(*countingWriter); ok {
			counted.ctx = r.Context()
		}
		next.ServeHTTP(w, r)
	})
}

// scimCodes are the codes that errors of SCIM, which have none, are counted by.
var scimCodes = map[int]apierror.Code{
	http.StatusUnauthorized: apierror.CodeUnauthenticated, http.StatusForbidden: apierror.CodeForbidden, http.StatusConflict: apierror.CodeConflict,
	http.StatusBadRequest: apierror.CodeBadUserInput, http.StatusNotFound: apierror.CodeNotFound, http.StatusTooManyRequests: transport.CodeRateLimited,
	http.StatusInternalServerError: apierror.CodeInternal, http.StatusServiceUnavailable: apierror.CodeUnavailable, http.StatusGatewayTimeout: apierror.CodeTimeout,
}

// refusals are the statuses of what is not run.
var refusals = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}

// countingWriter notes what is answered.
type countingWriter struct {
	http.ResponseWriter
	ctx    context.Context // of the request, with its viewer once that is known
	status int
	bytes  int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// statements are those of a line, in the order in which they began.
type statements []loggedStatement

type loggedStatement struct {
	At       float64 `json:"at_ms"` // since the first one began
	Duration float64 `json:"duration_ms"`
	Rows     int64   `json:"rows"`
	Attempt  int     `json:"attempt"`
	Failed   bool    `json:"failed,omitempty"`
	SQL      string  `json:"sql"`
	Values   string  `json:"values,omitempty"` // the statement with its values
}

// maxLogged is how many statements a line has.
const maxLogged = 50

// slowest are the statements of a line: those that took longest, if there are many.
func slowest(all []session.Statement, more int) statements {
	all = slices.Clone(all)
	if more += len(all) - maxLogged; more > 0 {
		slices.SortStableFunc(all, func(a, b session.Statement) int { return cmp.Compare(b.Duration, a.Duration) })
		all = all[:min(maxLogged, len(all))]
	}
	slices.SortStableFunc(all, func(a, b session.Statement) int { return a.Began.Compare(b.Began) })
	var logged statements
	for _, one := range all {
		logged = append(logged, loggedStatement{
			operation.Milliseconds(one.Began.Sub(all[0].Began)), operation.Milliseconds(one.Duration), one.Rows, one.Attempt, one.Failed, one.SQL, one.Values,
		})
	}
	if more > 0 {
		logged = append(logged, loggedStatement{SQL: fmt.Sprintf("(and %d more)", more)})
	}
	return logged
}

// String is how the log has them as text.
func (all statements) String() string {
	var b strings.Builder
	for i, one := range all {
		if i > 0 {
			b.WriteString("; ")
		}
		_, _ = fmt.Fprintf(&b, "%gms %d rows", one.Duration, one.Rows)
		if one.Failed {
			b.WriteString(" failed")
		}
		_, _ = fmt.Fprintf(&b, ": %s", cmp.Or(one.Values, one.SQL))
	}
	return b.String()
}

// inMilliseconds gives durations in the log a unit, which their names tell: duration is duration_ms.
func inMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_ms", operation.Milliseconds(a.Value.Duration()))
	}
	return a
}
