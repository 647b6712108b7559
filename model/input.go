package model

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"rollcall/apierror"

	"github.com/99designs/gqlgen/graphql"
)

// Bounds of what is stored, in characters.
const (
	maxName  = 255
	maxEmail = 320
)

// CreateUserInput is a user to add.
type CreateUserInput struct {
	Name      string
	Email     string
	ManagerID *string
}

// User checks the input and returns the user that it describes.
func (in CreateUserInput) User() (*User, error) {
	name, err := checkName(in.Name)
	if err != nil {
		return nil, err
	}
	email, err := checkEmail(in.Email)
	if err != nil {
		return nil, err
	}
	u := &User{Name: name, Email: email}
	if in.ManagerID != nil {
		id, err := ParseIDOf(TypeUser, "managerId", *in.ManagerID)
		if err != nil {
			return nil, err
		}
		u.ManagerID = &id
	}
	return u, nil
}

// UpdateUserInput is a change of a user. A field that is not set stays as it is.
type UpdateUserInput struct {
	ID        string
	Name      graphql.Omittable[*string]
	Email     graphql.Omittable[*string]
	ManagerID graphql.Omittable[*string] // set to nil: no manager
}

// UserUpdate is what an UpdateUserInput asks for, checked.
type UserUpdate struct {
	ID          int64
	Name, Email *string // nil: stays
	SetManager  bool
	ManagerID   *int64 // with SetManager

	sent     string // the email as it was sent
	notEmail error  // why nobody can get it
}

// Fits returns the change as it is for u, or an error where u cannot have it. An email that u has already, in whatever form,
// stays: forms send all fields.
func (c UserUpdate) Fits(u *User) (UserUpdate, error) {
	if c.Email != nil && c.sent == u.Email {
		c.Email, c.notEmail = nil, nil
	}
	return c, c.notEmail
}

// Moves reports whether the change gives u a manager, and another one than u has.
func (c UserUpdate) Moves(u *User) bool {
	return c.ManagerID != nil && (u.ManagerID == nil || *u.ManagerID != *c.ManagerID)
}

// Apply makes the change in u and returns the names of the columns that it sets.
func (c UserUpdate) Apply(u *User) (columns []string) {
	if c.Name != nil {
		u.Name = *c.Name
		columns = append(columns, "name")
	}
	if c.Email != nil {
		u.Email = *c.Email
		columns = append(columns, "email")
	}
	if c.SetManager {
		u.ManagerID = c.ManagerID
		columns = append(columns, "manager_id")
	}
	return columns
}

// Update checks the input and returns the change that it describes.
func (in UpdateUserInput) Update() (c UserUpdate, err error) {
	if c.ID, err = ParseIDOf(TypeUser, "id", in.ID); err != nil {
		return c, err
	}
	if c.Name, err = given("name", in.Name, checkName); err != nil {
		return c, err
	}
	if c.Email, err = given("email", in.Email, func(s string) (string, error) { return s, nil }); err != nil {
		return c, err
	}
	if c.Email != nil {
		c.sent = *c.Email
		*c.Email, c.notEmail = checkEmail(c.sent)
	}
	if manager, set := in.ManagerID.ValueOK(); set {
		c.SetManager = true
		if manager != nil {
			id, err := ParseIDOf(TypeUser, "managerId", *manager)
			if err != nil {
				return c, err
			}
			c.ManagerID = &id
		}
	}
	return c, nil
}

// DeleteUserInput names a user to remove.
type DeleteUserInput struct {
	ID string
}

// UserPayload is what createUser and updateUser return.
type UserPayload struct {
	User *User
}

// DeleteUserPayload is what deleteUser returns.
type DeleteUserPayload struct {
	DeletedUserID string
}

// given checks a field that may be left out but not be null.
func given(field string, v graphql.Omittable[*string], check func(string) (string, error)) (*string, error) {
	value, set := v.ValueOK()
	if !set {
		return nil, nil
	}
	if value == nil {
		return nil, apierror.BadInput(field, "%s cannot be null: leave it out to keep it as it is", field)
	}
	checked, err := check(*value)
	return &checked, err
}

func checkName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", apierror.BadInput("name", "name must be text in UTF-8")
	}
	name = normalName(name)
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return "", apierror.BadInput("name", "name must have 1 to %d characters, not %d", maxName, n)
	}
	if !strings.ContainsFunc(name, visible) {
		return "", apierror.BadInput("name", "name must be visible text")
	}
	if r, found := refused(name); found {
		return "", apierror.BadInput("name", "name must be visible text, without control characters, line breaks and characters that cannot be seen: "+
			"%U has no place there", r)
	}
	return name, nil
}

func checkEmail(given string) (string, error) {
	email, err := normalEmail(given)
	if n := utf8.RuneCountInString(email); n > maxEmail {
		return "", apierror.BadInput("email", "email must have at most %d characters, not %d", maxEmail, n)
	}
	// A domain's normal form has lost some invisible characters, or has got some out of its form in ASCII.
	hidden := strings.ContainsFunc(strings.TrimSpace(given)+email, func(r rune) bool { return !visible(r) })
	if err != nil || hidden || !wellFormed(email) {
		return "", apierror.BadInput("email", "email must be a well-formed address such as ada@example.com")
	}
	return email, nil
}

// wellFormed reports whether an email address is one as RFC 5322 has it, without quotes. ParseAddress takes
// `Name <address>` too, and drops comments.
func wellFormed(email string) bool {
	addr, err := mail.ParseAddress(email)
	return err == nil && addr.Address == email && !strings.Contains(email, `"`)
}
