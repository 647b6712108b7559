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
	readyTimeout = time.Second // within it the database has to answer
	readyFor     = time.Second // how long its answer counts, so that probes put no load on it
)

// health answers probes: whether the process lives, and whether it should be sent requests.
type health struct {
	db  *database.Database
	log *slog.Logger

	leaving atomic.Bool // for good

	mu      sync.Mutex // held while the database is asked: other probes wait for its answer
	checked time.Time
	failure string // "": there is none
}

// alive reports that the process answers requests.
func (h *health) alive(w http.ResponseWriter, r *http.Request) { probed(w, r, "") }

// ready reports whether requests should be sent here. If not, anyone may read the reason; its cause is in the log.
func (h *health) ready(w http.ResponseWriter, r *http.Request) { probed(w, r, h.unready(r.Context())) }

// unready returns why no requests should be sent here, or "".
func (h *health) unready(ctx context.Context) string {
	if h.leaving.Load() {
		return "the server is shutting down"
	}
	if reason := database.Unavailable(h.db.NoWriter()); reason != "" { // known without asking, and so not a second later
		return reason
	}
	return h.check(ctx)
}

// check returns why the database cannot be used, or "" if it can.
func (h *health) check(ctx context.Context) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checked) < readyFor {
		return h.failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout) // a probe that goes away says nothing of the database
	defer cancel()
	before, failure := h.failure, ""
	err := h.db.Check(ctx)
	schema, outdated := errors.AsType[*database.SchemaError](err)
	switch {
	case err == nil:
	case outdated:
		failure = schema.Error()
	case ctx.Err() == nil && !database.Unreachable(err) && database.Unavailable(err) != "":
		failure = database.Unavailable(err)
	default:
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
