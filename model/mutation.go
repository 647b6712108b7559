package model

// BulkMode is what a bulk does about entries that are refused.
type BulkMode string

// The modes.
const (
	AllOrNothing BulkMode = "ALL_OR_NOTHING"
	Each         BulkMode = "EACH"
)

// UpsertKey is by what upsertUsers finds a user who is there already.
type UpsertKey string

// The keys.
const (
	ByEmail      UpsertKey = "EMAIL"
	ByExternalID UpsertKey = "EXTERNAL_ID"
)

// ChildTeams is what becomes of the teams within a team that is removed.
type ChildTeams string

// What may become of them.
const (
	Refuse   ChildTeams = "REFUSE"
	Reparent ChildTeams = "REPARENT"
)

// UserPayload is what the mutations of one user return.
type UserPayload struct {
	User *User
}

// DeleteUserPayload is what deleteUser returns.
type DeleteUserPayload struct {
	DeletedUserID string
}

// EraseUserPayload is what eraseUser returns.
type EraseUserPayload struct {
	ErasedUserID string
}

// TeamPayload is what the mutations of one team return.
type TeamPayload struct {
	Team *Team
}

// DeleteTeamPayload is what deleteTeam returns.
type DeleteTeamPayload struct {
	DeletedTeamID string
}

// MembershipPayload is what setTeamMemberRole returns.
type MembershipPayload struct {
	Membership *Membership
}

// AddTeamMembersPayload is what addTeamMembers returns.
type AddTeamMembersPayload struct {
	Team        *Team
	Memberships []*Membership
}

// RemoveTeamMembersPayload is what removeTeamMembers returns.
type RemoveTeamMembersPayload struct {
	Team                 *Team
	RemovedMembershipIDs []string
}

// BulkPayload is what a bulk returns.
type BulkPayload[R any] struct {
	Results []*R
}

// EntryError is why an entry of a bulk was refused.
type EntryError struct {
	Code, Field, Message string
	CurrentVersion       *int64
}

// Result is what became of an entry of a bulk that writes an object.
type Result[T any] struct {
	Object  *T
	Created *bool // shown by an upsert
	Error   *EntryError
}

// RemovalResult is what became of an entry of a bulk that removes an object.
type RemovalResult struct {
	ID    *string // its global id
	Error *EntryError
}

// The results of bulks by what they are about.
type (
	// UserResult is what became of a user.
	UserResult = Result[User]
	// TeamResult is what became of a team.
	TeamResult = Result[Team]
	// MembershipResult is what became of a membership.
	MembershipResult = Result[Membership]
)

// The payloads of bulks by what they are about.
type (
	// UsersPayload is what bulks of users return.
	UsersPayload = BulkPayload[UserResult]
	// TeamsPayload is what bulks of teams return.
	TeamsPayload = BulkPayload[TeamResult]
	// MembershipsPayload is what bulks of memberships return.
	MembershipsPayload = BulkPayload[MembershipResult]
	// RemovalsPayload is what bulks return that remove something.
	RemovalsPayload = BulkPayload[RemovalResult]
)
