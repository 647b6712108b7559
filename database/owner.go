//go:build unix

package database

import (
	"os"
	"syscall"
)

// shareIndex gives the log's index, which the driver has made as the process's umask says, to those whom the database is for: by its
// locks they keep each other out. It is of no effect where another made it.
func shareIndex(path string, database os.FileInfo) {
	_ = os.Chmod(path, database.Mode())
	if owner, ok := database.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
}
