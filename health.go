package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/database"
)

const (
	readyTimeout = time.Second // in which the database has to answer
	readyFor     = time.Second // for so long its answer counts, so that probes put no load on it
)

// health answers probes: whether the process lives, and whether it should be sent requests.
type health struct {
	db  *database.Database
	log *slog.Logger

	stopping atomic.Bool // for good

	mu      sync.Mutex // held while the database is asked, which the probes that come meanwhile wait for
	checked time.Time
	failure string // "": there is none
}

// alive tells that the process answers requests.
func (h *health) alive(w http.ResponseWriter, r *http.Request) { probed(w, r, "") }

// ready reports whether requests should come here. The reason why not is for anybody to read; its cause is in the log.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.stopping.Load() {
		probed(w, r, "the server is shutting down")
		return
	}
	probed(w, r, h.check(r.Context()))
}

// check returns why the database can't be used, or "".
func (h *health) check(ctx context.Context) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.checked.IsZero() && time.Since(h.checked) < readyFor {
		return h.failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout) // a probe that goes away says nothing of the database
	defer cancel()
	before, failure := h.failure, ""
	err := h.db.Check(ctx)
	var schema *database.SchemaError
	switch {
	case errors.As(err, &schema):
		failure = schema.Error()
	case err != nil && ctx.Err() == nil && !database.Unreachable(err) && database.Unavailable(err) != "":
		failure = database.Unavailable(err)
	case err != nil:
		failure = "the database does not answer"
	}
	h.checked, h.failure = time.Now(), failure
	switch {
	case failure != "" && before == "":
		h.log.Error("not ready", "reason", failure, "error", err)
	case failure == "" && before != "":
		h.log.Info("ready again")
	}
	return failure
}

// probed answers a probe: with 200, or with 503 and a reason.
func probed(w http.ResponseWriter, r *http.Request, reason string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	status, text := http.StatusOK, "ok"
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "the method must be GET"
	case reason != "":
		status, text = http.StatusServiceUnavailable, reason
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
