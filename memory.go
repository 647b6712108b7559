package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// garbagePercent is how much garbage may pile up before it is collected, in percent of the memory in use. Answers leave much
// garbage and keep nothing, so collecting less often costs little memory.
const garbagePercent = 200

// tuneMemory has garbage collected seldom, but often enough to stay within a container's memory. The variables GOGC and
// GOMEMLIMIT take precedence; /metrics shows what is in force.
func tuneMemory(log *slog.Logger) {
	if !garbageSet() {
		debug.SetGCPercent(garbagePercent)
	}
	if _, err := memlimit.Set(); err != nil {
		log.Warn("cannot tell how much memory there is: set GOMEMLIMIT if it is limited", "error", err)
	}
}
