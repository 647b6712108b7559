package session

import "gorm.io/gorm"

// Remembered returns how many connections of a pool are remembered.
func Remembered(db *gorm.DB) int {
	s := sharedOf(db)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.handles)
}
