package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const good = `{"id":"0d9c-4a1b","type":"product.viewed","time":"2026-05-01T10:00:00Z","visitor":"v1","data":{"product":"tee"}}`

type fakeStream struct {
	kept []Event
	err  error
}

func (f *fakeStream) Append(_ context.Context, events []Event) error {
	f.kept = append(f.kept, events...)
	return f.err
}

func (f *fakeStream) Check(context.Context) error { return f.err }

func send(t *testing.T, stream Stream, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	Routes(stream).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestOneEventOrMany(t *testing.T) {
	stream := &fakeStream{}
	for body, count := range map[string]int{good: 1, "[" + good + "," + good + "]": 2} {
		before := len(stream.kept)
		if status, answer := send(t, stream, "POST", "/events", body); status != http.StatusAccepted {
			t.Errorf("%d %s", status, answer)
		}
		if kept := len(stream.kept) - before; kept != count {
			t.Errorf("kept %d, not %d", kept, count)
		}
	}
}

func TestAllOrNone(t *testing.T) {
	stream := &fakeStream{}
	status, answer := send(t, stream, "POST", "/events", "["+good+`,{"id":"x"}]`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(answer, "event 2") || len(stream.kept) != 0 {
		t.Errorf("%d %s, kept %d", status, answer, len(stream.kept))
	}
}

func TestRefusesWhatIsNoEvent(t *testing.T) {
	for _, body := range []string{
		"", "7", "[]", `"x"`,
		strings.Replace(good, "product.viewed", "weather.changed", 1),
		strings.Replace(good, "product.viewed", "product", 1),
		strings.Replace(good, "2026-05-01T10:00:00Z", "noon", 1),
		strings.Replace(good, `"visitor":"v1"`, `"visitor":""`, 1),
		strings.Replace(good, `{"product":"tee"}`, `[]`, 1),
	} {
		if status, _ := send(t, &fakeStream{}, "POST", "/events", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%d for %s", status, body)
		}
	}
	huge := strings.Repeat(" ", mostBytes+1)
	if status, _ := send(t, &fakeStream{}, "POST", "/events", huge); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d for too much", status)
	}
}

func TestSaysWhenTheStreamIsAway(t *testing.T) {
	away := &fakeStream{err: errors.New("no broker")}
	for method, path := range map[string]string{"POST": "/events", "GET": "/healthz"} {
		if status, _ := send(t, away, method, path, good); status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d", method, path, status)
		}
	}
}

func TestEveryEventHasItsTopic(t *testing.T) {
	for kind, topic := range map[string]string{
		"order.placed": "orders", "product.viewed": "activity", "cart.added": "activity", "weather.changed": "",
	} {
		if got := (Event{Type: kind}).Topic(); got != topic {
			t.Errorf("%s goes to %q", kind, got)
		}
	}
}

func TestAnOldEventIsNotTooLate(t *testing.T) {
	events, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	records, err := records(events)
	if err != nil || !records[0].Timestamp.IsZero() || string(records[0].Key) != "v1" || records[0].Topic != "activity" {
		t.Errorf("%+v %v", records[0], err)
	}
}
