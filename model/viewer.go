package model

// Viewer is who sends a request.
type Viewer struct {
	UserID *int64 // nil: it is no user
	Role   *ViewerRole
	Scopes []string // nil: it is not bounded to any
}

// ViewerRole is what a viewer may do whatever the object is.
type ViewerRole string

// Access is whom a rule of the schema allows something. Nothing answers it.
type Access string
