package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rollcall/database/databasetest"
	"rollcall/directory/directorytest"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestAServerDeliversWhatMutationsChangeAndAnotherOneGoesOn has two servers with one webhook.
func TestAServerDeliversWhatMutationsChangeAndAnotherOneGoesOn(t *testing.T) {
	databasetest.EachWith(t, directorytest.Demo, func(t *testing.T, url string) {
		var mu sync.Mutex
		var bodies string
		status := http.StatusOK
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			bodies += string(body)
			w.WriteHeader(status)
		}))
		defer receiver.Close()
		got := func(text string) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				return strings.Contains(bodies, text)
			}
		}
		args := []string{"--database", url, "--webhook=crm=" + receiver.URL + "/s3cret", "--webhook-secret=crm=" + webhookSecret, "--metrics", "127.0.0.1:0"}
		one, other := start(t, args...), start(t, args...)
		rename := func(s *server, user int) {
			s.answer(fmt.Sprintf(`mutation { updateUser(input: {id: "User:%d", name: "Zaphod"}) { user { id } } }`, user))
		}
		rename(one, 41)
		rename(other, 42)
		eventually(t, "the changes of both", func() bool {
			return got(`"objectId":"User:41","version":2`)() && got(`"objectId":"User:42","version":3`)()
		})
		if got(`"kind":"CREATED"`)() {
			t.Error("it has got what was there before it")
		}
		one.signal(nil)
		<-one.done
		mu.Lock()
		status = http.StatusGone
		mu.Unlock()
		rename(other, 43)
		eventually(t, "the change of the other", got(`"objectId":"User:43"`))
		eventually(t, "disabled", func() bool { return strings.Contains(other.answer("{ webhooks { lastStatus } }"), "410") })
		if a := other.answer("{ webhooks { name endpoint lag lastStatus } }"); !strings.Contains(a, fmt.Sprintf(`{"name":"crm","endpoint":%q,"lag":1,"lastStatus":410}`, receiver.URL)) {
			t.Errorf("got %s", a)
		}
		eventually(t, "metrics", func() bool {
			m := other.metrics()
			return m[`rollcall_webhook_disabled{webhook="crm"}`] == 1 && m[`rollcall_webhook_lag_changes{webhook="crm"}`] == 1
		})
		mu.Lock()
		status, bodies = http.StatusOK, ""
		mu.Unlock()
		if text := output(t, "webhook", "enable", "crm", "--database", url); text != "The webhook crm is enabled; changes that its receiver does not have: 1.\n" {
			t.Errorf("got %s", text)
		}
		eventually(t, "the change again", got(`"objectId":"User:43"`))
		if _, err := execution(t, "webhook", "enable", "srm", "--database", url); err == nil || !strings.Contains(err.Error(), `there is no webhook "srm"`) {
			t.Errorf("got %v", err)
		}
		other.signal(nil)
		<-other.done
		if said := one.out.String() + one.log.String() + other.out.String() + other.log.String(); strings.Contains(said, "s3cret") || strings.Contains(said, "whsec_") || strings.Contains(bodies, "Zaphod") {
			t.Errorf("something secret is shown: %s %s", said, bodies)
		}
	})
}
