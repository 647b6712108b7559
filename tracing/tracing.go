// Package tracing tells a collector of OpenTelemetry what operations have done, by the semantic conventions for GraphQL and for databases:
// https://opentelemetry.io/docs/specs/semconv/graphql/graphql-spans/ and https://opentelemetry.io/docs/specs/semconv/database/database-spans/.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"rollcall/batch"
	"rollcall/operation"
	"rollcall/session"
)

// Tracer makes spans of operations that have ended. A nil one makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	system   attribute.KeyValue
}

// New returns a tracer that sends to a collector by OTLP over HTTP, as OpenTelemetry's variables OTEL_* say: where, what to sample, how often, and what
// else is known of the process. system is the database's name among those of the conventions.
func New(ctx context.Context, version, system string) (*Tracer, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("rollcall"), semconv.ServiceVersion(version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if errors.Is(err, resource.ErrPartialResource) {
		otel.Handle(err) // the rest is told
	} else if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{provider: provider, tracer: provider.Tracer("rollcall"), system: semconv.DBSystemNameKey.String(system)}, nil
}

// Close sends what is left.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Handler has the spans of requests be below those of their clients, which name them in the header traceparent (W3C Trace Context).
func (t *Tracer) Handler(h http.Handler) http.Handler {
	if t == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Ended makes the spans of an operation, for operation.Extension.Ended: one of its own, and below that one for each batch and each statement that was kept,
// COMMIT and its proof among them. What the operations of an array have read together is below the first that ran, which the others name. A request of
// SCIM is a span by the conventions for HTTP. It returns the id of the trace; "": there is none.
func (t *Tracer) Ended(ctx context.Context, op session.Operation, r operation.Report, s operation.Sent) (id string) {
	if t == nil || r.Result == operation.ResultBegun {
		return ""
	}
	began := r.Began
	if began.IsZero() { // there was no request yet
		began = time.Now()
	}
	statements, _ := r.Trace.Statements()
	ctx, span := t.tracer.Start(ctx, nameOf(op), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began), trace.WithAttributes(attributesOf(op, r, s)...))
	if span.IsRecording() {
		if r.Result == operation.ResultError && !refusedByHTTP(op, s) {
			span.SetStatus(codes.Error, strings.Join(r.Codes, " "))
		}
		batches := t.batches(ctx, r)
		for _, one := range statements {
			parent := ctx
			if n, ok := one.For.(int); ok && one.Attempt == r.Attempts && n < len(batches) {
				parent = batches[n]
			}
			t.statement(parent, one)
		}
	}
	span.End(trace.WithTimestamp(began.Add(r.Waited + r.Duration)))
	return span.SpanContext().TraceID().String()
}

// SCIM is the kind of an operation that is a request of SCIM, whose name is its method and its path.
const SCIM = "scim"

// nameOf names an operation's span by its type, or its method, alone: clients make up the names.
func nameOf(op session.Operation) string {
	switch method, _, _ := strings.Cut(op.Name, " "); op.Kind {
	case "":
		return "GraphQL Operation"
	case SCIM:
		return methodOf(method) + " " + SCIM
	}
	return op.Kind
}

// refusedByHTTP reports whether the client is to blame for an error, which by the conventions for HTTP is none of the server's span.
func refusedByHTTP(op session.Operation, s operation.Sent) bool {
	return op.Kind == SCIM && s.Status < http.StatusInternalServerError
}

// methodOf is a method of HTTP, of which clients may make up others.
func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

func attributesOf(op session.Operation, r operation.Report, s operation.Sent) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("rollcall.operation.id", op.ID), attribute.String("rollcall.operation.result", string(r.Result)), attribute.String("rollcall.transport", s.By),
		attribute.Int("rollcall.operation.attempts", r.Attempts), attribute.Int64("rollcall.operation.statements", r.Statements),
	}
	add := func(key attribute.Key, value string) {
		if value != "" {
			all = append(all, key.String(value))
		}
	}
	if method, path, _ := strings.Cut(op.Name, " "); op.Kind == SCIM {
		all = append(all, semconv.HTTPRequestMethodKey.String(methodOf(method)), semconv.URLPath(path), semconv.HTTPResponseStatusCode(s.Status))
	} else {
		add(semconv.GraphQLOperationNameKey, op.Name)
		add(semconv.GraphQLOperationTypeKey, op.Kind)
	}
	add("rollcall.operation.answered_from", r.From)
	add("rollcall.operation.read_with", r.ReadWith)
	if len(r.Codes) > 0 {
		if !refusedByHTTP(op, s) {
			add(semconv.ErrorTypeKey, r.Codes[0])
		}
		all = append(all, attribute.StringSlice("rollcall.operation.codes", r.Codes))
	}
	return all
}

// batches makes a span of each batch of the last attempt, and returns the contexts of these.
func (t *Tracer) batches(ctx context.Context, r operation.Report) (all []context.Context) {
	if r.Bound == nil {
		return nil
	}
	kept := batch.TraceOf(r.Bound)
	if kept == nil || r.ReadWith != "" {
		return nil
	}
	for _, b := range kept.Batches {
		within, span := t.tracer.Start(ctx, strings.TrimSpace("batch "+b.Field), trace.WithTimestamp(b.Began),
			trace.WithAttributes(attribute.Int("rollcall.batch.keys", b.Keys), attribute.Bool("rollcall.batch.planned", b.Planned)))
		if b.Failed {
			span.SetStatus(codes.Error, "")
		}
		span.End(trace.WithTimestamp(b.Began.Add(b.Duration)))
		all = append(all, within)
	}
	return all
}

// statement makes the span of a statement, without its values.
func (t *Tracer) statement(ctx context.Context, s session.Statement) {
	verb, _, _ := strings.Cut(strings.TrimSpace(s.SQL), " ")
	_, span := t.tracer.Start(ctx, strings.ToUpper(verb), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(s.Began), trace.WithAttributes(
		t.system, semconv.DBOperationName(strings.ToUpper(verb)), semconv.DBQueryText(s.SQL), semconv.DBResponseReturnedRows(int(s.Rows)), attribute.Int("rollcall.attempt", s.Attempt)))
	if s.Failed {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(s.Began.Add(s.Duration)))
}
