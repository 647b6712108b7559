package model

import (
	_ "embed"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"rollcall/apierror"
)

// Bounds of what is stored, in characters.
const (
	maxName     = 255
	maxEmail    = 320
	maxPhone    = 64
	maxTimeZone = 64
	maxPhotoURL = 2048
)

// CheckName returns a name in the form in which it is stored. The error is BAD_USER_INPUT.
func CheckName(name string) (string, error) { return CheckText("name", 1, maxName)(name) }

// CheckText returns the check of an input's field that holds a line of minLength to maxLength characters: it returns the line in the form in
// which it is stored. The check's error is BAD_USER_INPUT.
func CheckText(field string, minLength, maxLength int) func(string) (string, error) {
	return func(text string) (string, error) {
		if !utf8.ValidString(text) {
			return "", apierror.BadInput(field, "%s must be text in UTF-8", field)
		}
		text = norm.NFC.String(strings.TrimSpace(text))
		if n := utf8.RuneCountInString(text); n < minLength || n > maxLength {
			return "", apierror.BadInput(field, "%s must have %d to %d characters, not %d", field, minLength, maxLength, n)
		}
		if text != "" && !strings.ContainsFunc(text, visible) {
			return "", apierror.BadInput(field, "%s must be visible text", field)
		}
		if r, found := refused(text); found {
			return "", apierror.BadInput(field, "%s must be visible text, without control characters, line breaks and characters that cannot be seen: "+
				"%U has no place there", field, r)
		}
		return text, nil
	}
}

// CheckParagraphs is CheckText for a text of several lines, each of which ends with a line feed.
func CheckParagraphs(field string, maxLength int) func(string) (string, error) {
	return func(text string) (string, error) {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimSpace(text))
		if _, err := CheckText(field, 0, maxLength)(strings.ReplaceAll(text, "\n", " ")); err != nil {
			return "", err
		}
		return norm.NFC.String(text), nil
	}
}

// CheckEmail returns an email address in the form in which it is stored. The error is BAD_USER_INPUT.
func CheckEmail(given string) (string, error) {
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

// CheckLabel returns the check of an optional text that is shown in a line, such as a title.
func CheckLabel(field string) func(string) (string, error) { return CheckText(field, 0, maxName) }

// CheckPhone returns a telephone number in the form in which it is stored: as it is written. The error is BAD_USER_INPUT.
func CheckPhone(phone string) (string, error) {
	phone, err := CheckText("phone", 0, maxPhone)(phone)
	const digits = "0123456789"
	if err == nil && phone != "" && (strings.Trim(phone, digits+" +-./()#*,;x") != "" || !strings.ContainsAny(phone, digits)) {
		err = apierror.BadInput("phone", "phone must be a number such as +33 1 99 00 01 00, with digits, spaces and the signs + - . / ( ) # * , ; x")
	}
	return phone, err
}

//go:embed zones.txt
var zonesText string

// zones are the names of time zones, sorted. They are the same on every machine, whatever database of time zones that has.
var zones = strings.Split(strings.TrimSpace(zonesText), "\n")[1:]

// CheckTimeZone returns a time zone's name. The error is BAD_USER_INPUT.
func CheckTimeZone(zone string) (string, error) {
	zone, err := CheckText("timeZone", 0, maxTimeZone)(zone)
	if err != nil || zone == "" {
		return zone, err
	}
	if _, known := slices.BinarySearch(zones, zone); !known {
		return "", apierror.BadInput("timeZone", "timeZone must be the name of one in the IANA database, such as Europe/Paris")
	}
	return zone, nil
}

// CheckPhotoURL returns the address of a picture. The error is BAD_USER_INPUT.
func CheckPhotoURL(address string) (string, error) {
	address, err := CheckText("photoUrl", 0, maxPhotoURL)(address)
	if err != nil || address == "" {
		return address, err
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.ContainsFunc(address, unicode.IsSpace) {
		return "", apierror.BadInput("photoUrl", "photoUrl must be an address such as https://example.com/ada.jpg, with http or https, and without a password")
	}
	return address, nil
}

// CheckExternalID returns another system's id of a user, which is stored and compared as it is. The error is BAD_USER_INPUT.
func CheckExternalID(id string) (string, error) {
	text, err := CheckLabel("externalId")(id)
	if err == nil && text != id {
		err = apierror.BadInput("externalId", "externalId is kept as it is, so that it must have no spaces around it, and be in Unicode's form NFC")
	}
	return text, err
}

// StorableExternalID reports whether an id may be one that is stored: no other is looked for in a database.
func StorableExternalID(id string) bool {
	return id != "" && len(id) <= utf8.UTFMax*maxName && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}

// wellFormed reports whether an email address is one as RFC 5322 has it, without quotes. ParseAddress takes
// `Name <address>` too, and drops comments.
func wellFormed(email string) bool {
	addr, err := mail.ParseAddress(email)
	return err == nil && addr.Address == email && !strings.Contains(email, `"`)
}
