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

// hearTraces has a log told what OpenTelemetry's library has to say, which has but one place for that. Its warnings are below the level info.
func hearTraces(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not sent, or not whole", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
}

// checkTraces has the library read its variables.
func (s *service) checkTraces(ctx context.Context, f *findings) {
	if asked, err := tracesAsked(); err != nil || !asked { // which is among what is refused
		return
	}
	hearTraces(slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelInfo - 1, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
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
