package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"

	"rollcall/tracing"
)

// sendFor is how long the last spans may take to be sent.
const sendFor = 5 * time.Second

// trace has operations told to a collector, if OpenTelemetry's variables name one.
func (s *service) trace(ctx context.Context) (err error) {
	asked, err := tracesAsked()
	if err != nil || !asked {
		return err
	}
	hearTraces(s.log)
	system, err := s.db.Dialect().System(ctx, s.db.Side)
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if s.tracer, err = tracing.New(ctx, release, system); err != nil {
		return fmt.Errorf("OTEL_*: %w", err)
	}
	return nil
}

// hearTraces has a log told what OpenTelemetry's library has to say, which has but one place for that.
func hearTraces(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not sent, or not whole", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(traceLog{log.Handler()}))
}

// traceLog tells the warnings of OpenTelemetry's library as such, which it has at logr's verbosity 1.
type traceLog struct{ slog.Handler }

// traceWarning is what that is for slog.
const traceWarning slog.Level = -1

// Enabled implements slog.Handler.
func (t traceLog) Enabled(ctx context.Context, level slog.Level) bool {
	return t.Handler.Enabled(ctx, warned(level))
}

// Handle implements slog.Handler.
func (t traceLog) Handle(ctx context.Context, r slog.Record) error {
	r.Level = warned(r.Level)
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t traceLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceLog{t.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t traceLog) WithGroup(name string) slog.Handler { return traceLog{t.Handler.WithGroup(name)} }

func warned(level slog.Level) slog.Level {
	if level == traceWarning {
		return slog.LevelWarn
	}
	return level
}

// checkTraces has the library read its variables.
func (s *service) checkTraces(ctx context.Context, f *findings) {
	if asked, err := tracesAsked(); err != nil || !asked { // which is among what is refused
		return
	}
	hearTraces(slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})))
	tracer, err := tracing.New(ctx, release, "")
	if !f.failed(err) && !f.failed(tracer.Close(ctx)) {
		f.ok("OTEL_*: operations are traced")
	}
}

// endTraces sends what is left.
func (s *service) endTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), sendFor)
	defer cancel()
	if err := s.tracer.Close(ctx); err != nil {
		s.log.Warn("the last traces are not sent", "error", err)
	}
}
