//go:build !unix

package database

import "os"

// shareIndex does nothing where files have no such modes and owners.
func shareIndex(string, os.FileInfo) {}
