// Package apitoken keeps the API tokens of services: it makes, lists and revokes them, and tells who sends one.
//
// A token is a secret of 256 random bits (auth.APIToken). Its text is returned once, by Create. What is stored is its SHA-256, by which it is
// found again: nobody who reads the database, a backup or the log of changes can use a token. That a token was made or revoked is a change in the
// log, written by the same transaction.
//
// A token opens something as long as it has not expired and was not revoked, and its owner, if it has one, is active: whoever is deactivated has
// no tokens that work until they are reactivated, and the tokens of a user who is deleted or erased go with the user.
package apitoken
