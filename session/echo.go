package session

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// Echo returns a GORM logger that writes each statement to out with the name and id of the
// operation that it belongs to, its duration and the number of its rows.
func Echo(out *slog.Logger) logger.Interface { return echo{out: out} }

type echo struct {
	out    *slog.Logger
	silent bool
}

func (e echo) LogMode(level logger.LogLevel) logger.Interface {
	e.silent = level == logger.Silent
	return e
}

func (e echo) Info(ctx context.Context, msg string, args ...any) {
	e.log(ctx, slog.LevelInfo, msg, args)
}

func (e echo) Warn(ctx context.Context, msg string, args ...any) {
	e.log(ctx, slog.LevelWarn, msg, args)
}

func (e echo) Error(ctx context.Context, msg string, args ...any) {
	e.log(ctx, slog.LevelError, msg, args)
}

func (e echo) log(ctx context.Context, level slog.Level, msg string, args []any) {
	if !e.silent {
		e.out.Log(ctx, level, msg, "detail", args)
	}
}

// Trace writes one statement.
func (e echo) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), err error) {
	if e.silent {
		return
	}
	sql, rows := statement()
	attrs := []slog.Attr{
		slog.String("sql", sql),
		slog.Duration("duration", time.Since(begin)),
		slog.Int64("rows", rows),
	}
	if op, ok := OperationFromContext(ctx); ok {
		attrs = append(attrs, slog.String("operation", op.Name), slog.String("id", op.ID))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	e.out.LogAttrs(ctx, slog.LevelInfo, "statement", attrs...)
}
