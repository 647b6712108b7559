package idempotency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneAtATimeHasItsTurnAndNothingIsLeft(t *testing.T) {
	var all turns
	var having [4]atomic.Int32
	var users sync.WaitGroup
	for i := range 200 {
		users.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				cancel() // it may still have its turn
			}
			leave, err := all.take(ctx, fmt.Sprint(i%4))
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			defer leave()
			if having[i%4].Add(1) != 1 {
				t.Error("two have the same turn")
			}
			having[i%4].Add(-1)
		})
	}
	users.Wait()
	if len(all.byID) != 0 {
		t.Errorf("%d turns are left", len(all.byID))
	}
}

func TestWhoWaitsForATurnHearsWhyItEnds(t *testing.T) {
	var all turns
	leave, err := all.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	late := errors.New("late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if _, err := all.take(ctx, "a"); !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
	if other, err := all.take(t.Context(), "b"); err != nil {
		t.Error(err)
	} else {
		other()
	}
	leave()
	if len(all.byID) != 0 {
		t.Errorf("%d turns are left", len(all.byID))
	}
}
