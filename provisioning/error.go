package provisioning

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall/apierror"
	"rollcall/database"
	"rollcall/scim"
	"rollcall/session"
)

// attributes are what the fields of inputs are called here.
var attributes = map[string]string{
	"email": "userName", "name": "displayName", "managerId": enterpriseURN + ":manager", "department": enterpriseURN + ":department",
	"phone": "phoneNumbers", "location": "addresses", "timeZone": "timezone", "photoUrl": "photos",
}

// translate returns what clients are told of the directory's errors, where an operation has a deadline.
func translate(deadline time.Duration) func(context.Context, error) *scim.Error {
	return func(_ context.Context, err error) *scim.Error {
		if list, ok := apierror.ErrorsOf(err); ok {
			return told(list)
		}
		_, unknown := errors.AsType[*session.OutcomeUnknownError](err)
		_, late := errors.AsType[*session.DeadlineError](err)
		switch {
		case unknown:
			return scim.Failed(http.StatusInternalServerError, "%s", apierror.OutcomeUnknown().Message)
		case late, errors.Is(err, context.DeadlineExceeded), database.OverTime(err):
			return scim.Failed(http.StatusServiceUnavailable, "%s", apierror.TookTooLong(deadline).Message)
		case errors.Is(err, context.Canceled):
			return scim.Failed(http.StatusServiceUnavailable, "%s", apierror.Cancelled().Message)
		case database.Unavailable(err) != "":
			return scim.Failed(http.StatusServiceUnavailable, "%s: try again later", database.Unavailable(err))
		}
		return nil
	}
}

// told is one error for all that is wrong with an input.
func told(list apierror.Errors) *scim.Error {
	var details []string
	for _, e := range list {
		detail := e.Message
		if name := attributes[e.Field]; name != "" {
			detail = name + ": " + detail
		}
		details = append(details, detail)
	}
	e := &scim.Error{Status: http.StatusBadRequest, Type: scim.InvalidValue, Detail: strings.Join(details, "; ")}
	switch one := list[0]; {
	case strings.HasPrefix(one.Field, "filter"):
		e.Type = scim.InvalidFilter
	case one.CurrentVersion != 0:
		e.Status, e.Type = http.StatusPreconditionFailed, ""
	case one.Code == apierror.CodeConflict && slices.Contains([]string{"email", "externalId", "name"}, one.Field):
		e.Status, e.Type = http.StatusConflict, scim.Uniqueness
	case one.Code == apierror.CodeConflict:
		e.Status, e.Type = http.StatusConflict, ""
	case one.Code == apierror.CodeNotFound && !strings.Contains(one.Field, "userId"):
		e.Status, e.Type = http.StatusNotFound, ""
	}
	return e
}

// versioned passes on the error of a write of an object as it was read. If that has changed since, and the request expects no version, all runs again.
func versioned(ctx context.Context, id string, m scim.Match, err error) error {
	e, ok := errors.AsType[*apierror.Error](err)
	switch {
	case !ok || e.CurrentVersion == 0:
		return err
	case m == nil:
		return session.Again(ctx, err)
	}
	return scim.Stale(id)
}
