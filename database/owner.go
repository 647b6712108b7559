//go:build unix

package database

import (
	"os"
	"syscall"
)

// shareIndex gives the WAL index (-shm) the mode and owner of the database's file. The driver creates it as the umask says, but everyone
// who may open the database has to take locks on it. Where another user owns the index, this does nothing.
func shareIndex(path string, database os.FileInfo) {
	_ = os.Chmod(path, database.Mode())
	if owner, ok := database.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(owner.Uid), int(owner.Gid))
	}
}
