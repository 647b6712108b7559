package main

import (
	"context"
	"fmt"
	"time"

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
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { s.log.Warn("traces are not sent", "error", err) })) // the library has but this one
	system, err := s.db.Dialect().System(ctx, s.db.Side)
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if s.tracer, err = tracing.New(ctx, release, system); err != nil {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	return nil
}

// endTraces sends what is left.
func (s *service) endTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), sendFor)
	defer cancel()
	if err := s.tracer.Close(ctx); err != nil {
		s.log.Warn("the last traces are not sent", "error", err)
	}
}
