package changelog

// SweepLimit is how long a chunk of a sweep may take.
const SweepLimit = sweepLimit
