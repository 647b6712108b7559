package event_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/event"
	"rollcall/model"
)

func change(user int64) *model.UserChange {
	return &model.UserChange{Kind: model.Updated, UserID: user}
}

func subscribe(ctx context.Context, t *testing.T, l *event.Local, users ...int64) <-chan *model.UserChange {
	t.Helper()
	changes, err := l.Subscribe(ctx, users)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// received takes what is there.
func received(changes <-chan *model.UserChange) (users []int64, open bool) {
	for {
		select {
		case c, ok := <-changes:
			if !ok {
				return users, false
			}
			users = append(users, c.UserID)
		default:
			return users, true
		}
	}
}

func TestASubscriberGetsWhatItAskedForInOrder(t *testing.T) {
	var l event.Local
	all, some, other := subscribe(t.Context(), t, &l), subscribe(t.Context(), t, &l, 1, 3, 3), subscribe(t.Context(), t, &l, 9)
	for _, user := range []int64{1, 2, 3, 1} {
		l.Publish(change(user))
	}
	for _, c := range []struct {
		changes <-chan *model.UserChange
		want    []int64
	}{{all, []int64{1, 2, 3, 1}}, {some, []int64{1, 3, 1}}, {other, nil}} {
		if got, open := received(c.changes); fmt.Sprint(got) != fmt.Sprint(c.want) || !open {
			t.Errorf("want %v, got %v", c.want, got)
		}
	}
	late := subscribe(t.Context(), t, &l)
	if got, _ := received(late); got != nil {
		t.Errorf("a later subscriber got %v", got)
	}
}

func TestASlowSubscriberIsDroppedAndBlocksNobody(t *testing.T) {
	var l event.Local
	slow, slowToo := subscribe(t.Context(), t, &l), subscribe(t.Context(), t, &l, 1, 2)
	prompt := subscribe(t.Context(), t, &l)
	const changes = 2000
	for range changes {
		l.Publish(change(1))
		if got, open := received(prompt); len(got) != 1 || !open {
			t.Fatalf("the prompt subscriber got %v", got)
		}
	}
	for _, s := range []<-chan *model.UserChange{slow, slowToo} {
		if got, open := received(s); len(got) != 1024 || open {
			t.Errorf("want 1024 changes and the end, got %d, open: %t", len(got), open)
		}
	}
	if n := l.Subscribers(); n != 1 {
		t.Errorf("want one subscriber left, got %d", n)
	}
}

func TestACancelledSubscriberIsForgotten(t *testing.T) {
	var l event.Local
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		subscribe(ctx, t, &l)
		dropped := subscribe(ctx, t, &l, 1, 2)
		for range 1025 {
			l.Publish(change(2))
		}
		if _, open := received(dropped); open {
			t.Error("not dropped")
		}
		cancel()
	}
	wantSubscribers(t, &l, 0)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	subscribe(ended, t, &l, 7)
	wantSubscribers(t, &l, 0)
}

func TestPublishingSubscribingAndCancellingAtOnce(t *testing.T) {
	var l event.Local
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				changes := subscribe(ctx, t, &l, int64(i%3+1))
				l.Publish(change(int64(i%3 + 1)))
				if got, _ := received(changes); len(got) == 0 {
					t.Error("a change was missed")
				}
				cancel()
			}
		})
	}
	all.Wait()
	wantSubscribers(t, &l, 0)
}

func wantSubscribers(t *testing.T, l *event.Local, n int) {
	t.Helper()
	for range 500 {
		if l.Subscribers() == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("want %d subscribers, got %d", n, l.Subscribers())
}
