package model

// Viewer is who sends a request.
type Viewer struct {
	UserID *int64   // nil: it is no user
	Role   *string  // nil: none
	Scopes []string // nil: it is not bounded to any
}
