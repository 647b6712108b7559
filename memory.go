package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// garbage is how much of it may be there, in percent of what lives, before it is collected. Answers leave much behind and
// keep nothing, so collecting less often costs little memory.
const garbage = 200

// tuneMemory sets how the garbage is collected: seldom, but often enough not to exceed what a container may have. The
// variables GOGC and GOMEMLIMIT beat both; /metrics shows what holds.
func tuneMemory(log *slog.Logger) {
	if !garbageSet() {
		debug.SetGCPercent(garbage)
	}
	if _, err := memlimit.Set(); err != nil {
		log.Warn("cannot tell how much memory there is: set GOMEMLIMIT if it is limited", "error", err)
	}
}
