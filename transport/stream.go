package transport

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// form is the form of a stream.
type form struct {
	media     []string // its Content-Type
	opening   string   // before the first part
	before    string   // each part
	data      string   // before what a part has, behind the id of its event
	after     string   // each part
	keepAlive string
	closing   string // after the last part
	payload   bool   // each part is within {"payload": …}
	ids       bool   // events have ids
}

// events is the form of server-sent events. EventSource ignores an event without data.
var events = form{
	media:   []string{eventType + "; charset=utf-8"},
	opening: ":\n\n", // so that something is sent at once
	before:  "event: next\n", data: "data: ", after: "\n\n",
	keepAlive: ":\n\n", closing: "event: complete\ndata:\n\n",
	ids: true,
}

// deferred is multipart/mixed for what is deferred, subscribed for a subscription:
// https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
var deferred = form{
	media:   []string{multipartType + `; boundary="-"; deferSpec=20220824`},
	opening: "---", before: "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n", after: "\r\n---",
	closing: "--\r\n",
}

var subscribed = form{
	media:   []string{multipartType + `; boundary="-"; subscriptionSpec=1.0`},
	opening: "---", before: deferred.before, after: deferred.after,
	keepAlive: deferred.before + "{}" + deferred.after, closing: deferred.closing,
	payload: true,
}

// stream writes the responses of an operation as they come. If the first one is the whole answer, a client that accepts it
// in one piece gets it so.
func (x *exchange) stream(respond graphql.ResponseHandler, ctx context.Context) { //nolint:revive // in the order in which DispatchOperation returns them
	ctx, cancel := context.WithCancel(ctx)
	responses := make(chan streamed)
	s := &partWriter{exchange: x, id: x.request.EventID}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(responses)
		for {
			response := guarded(respond, ctx)
			if response == nil { // not as soon as the client has gone: only what is read to its end ends the session
				return
			}
			response.Data = bytes.Clone(response.Data) // gqlgen writes each event into one buffer
			select {
			case responses <- streamed{response, x.request.EventID}:
			case <-ctx.Done():
			}
		}
	})
	defer reader.Wait()
	defer cancel()
	defer func() {
		if s.begun {
			s.streams.Add(-1)
		}
	}()
	s.run(ctx, responses)
}

// streamed is a response on its way to be written.
type streamed struct {
	*graphql.Response
	id string // of the event that it answers; "": it has none
}

// guarded takes one response. A panic that reaches it ends the stream, not the process.
func guarded(respond graphql.ResponseHandler, ctx context.Context) *graphql.Response { //nolint:revive // see stream
	defer func() {
		if p := recover(); p != nil {
			_ = graphql.GetOperationContext(ctx).RecoverFunc(ctx, p)
		}
	}()
	return respond(ctx)
}

// partWriter writes the parts of one answer.
type partWriter struct {
	*exchange
	form   form
	id     string // of the last event; "": it had none
	begun  bool
	failed bool // the client does not read, or has gone
}

func (s *partWriter) run(ctx context.Context, responses <-chan streamed) {
	subscription := graphql.HasOperationContext(ctx) && graphql.GetOperationContext(ctx).Operation.Operation == "subscription"
	var closed <-chan struct{} // of a subscription only: others end by themselves, and a mutation may be stored by now
	var ended <-chan error     // so is this
	if subscription {
		var release func()
		ended, release = s.Until.watch(ctx)
		defer release()
		closed = s.closed()
		s.begin(subscription)
	}
	silence := cmp.Or(s.KeepAlive, 15*time.Second)
	alive := time.NewTicker(silence)
	defer alive.Stop()
	for first := true; !s.failed; {
		select {
		case response, ok := <-responses:
			switch {
			case !ok && !s.begun:
				s.write(cancelled())
				return
			case !ok:
				s.out([]byte(s.form.closing))
				return
			case first && !subscription && response.HasNext == nil && s.wanted.one() != "":
				s.write(response.Response) // nothing was deferred
				return
			}
			s.begin(subscription)
			s.id = response.id
			s.part(response.Response, first || subscription)
			first = false
			alive.Reset(silence)
		case <-alive.C:
			if s.begun && s.form.keepAlive != "" {
				s.out([]byte(s.form.keepAlive))
			}
		case err := <-ended:
			s.part(&graphql.Response{Errors: shown(err)}, true)
			s.out([]byte(s.form.closing))
			return
		case <-closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *partWriter) begin(subscription bool) {
	if s.begun {
		return
	}
	s.begun = true
	s.streams.Add(1)
	s.form = s.exchange.form(subscription)
	s.outcome()
	header := s.w.Header()
	header["Content-Type"] = s.form.media
	header["X-Accel-Buffering"] = []string{"no"} // what nginx must not do
	s.request.Sent.Status = http.StatusOK
	s.w.WriteHeader(http.StatusOK)
	s.out(append(s.withID(nil), s.form.opening...)) // with the id a client that gets no event knows where to go on
}

// form returns the form in which the client wants a stream.
func (x *exchange) form(subscription bool) form {
	switch {
	case x.wanted.parts(subscription) == eventType:
		return events
	case subscription:
		return subscribed
	}
	return deferred
}

func (s *partWriter) part(r *graphql.Response, whole bool) {
	b := append(s.withID([]byte(s.form.before)), s.form.data...)
	start := len(b)
	switch {
	case s.form.payload && r.Data == nil:
		b = append(b, `{"payload":null`...)
		b = appendMember(b, "errors", r.Errors)
		b = append(b, '}')
	case s.form.payload:
		b = append(appendResponse(append(b, `{"payload":`...), r), '}')
	case whole:
		b = appendResponse(b, r)
	default:
		b = appendIncrement(b, r)
	}
	if bytes.IndexByte(b[start:], '\n') >= 0 { // of a resolver's own JSON
		b = append(b[:start], bytes.ReplaceAll(b[start:], []byte("\n"), []byte(" "))...)
	}
	s.out(append(b, s.form.after...))
}

// withID appends the line with the id of the event, if the form and the event have one.
func (s *partWriter) withID(b []byte) []byte {
	if !s.form.ids || s.id == "" {
		return b
	}
	return append(append(append(b, "id: "...), s.id...), '\n')
}

// out writes at once, and gives up on a client that does not read.
func (s *partWriter) out(b []byte) {
	_ = s.within.SetWriteDeadline(s.writeDeadline()) // a recorder has none
	_, err := s.w.Write(b)
	if err == nil {
		err = s.within.Flush()
	}
	if s.failed = err != nil; s.failed {
		return
	}
	s.request.Sent.Bytes += int64(len(b))
	_ = s.within.SetWriteDeadline(time.Time{}) // HTTP/2 would end even a stream that has nothing to write
}
