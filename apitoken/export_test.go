package apitoken

import "time"

// Settle waits until all uses that were noted are stored, or could not be. It reports whether that was so within a time.
func (t *Tokens) Settle(within time.Duration) bool {
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(time.Millisecond) {
		t.uses.mu.Lock()
		storing := t.uses.storing
		t.uses.mu.Unlock()
		if !storing {
			return true
		}
	}
	return false
}
