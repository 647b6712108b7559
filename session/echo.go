package session

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// Echo returns a GORM logger that writes each statement to out with the name and id of the
// operation that it belongs to, its duration and the number of its rows.
func Echo(out *slog.Logger) logger.Interface {
	return echo{logger.NewSlogLogger(out, logger.Config{LogLevel: logger.Info}), out, false}
}

type echo struct {
	logger.Interface // for GORM's messages
	out              *slog.Logger
	silent           bool
}

func (e echo) LogMode(level logger.LogLevel) logger.Interface {
	return echo{e.Interface.LogMode(level), e.out, level == logger.Silent}
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
