package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// An Event is something that happened in the shop.
type Event struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Time    time.Time       `json:"time"`
	Visitor string          `json:"visitor"`
	Data    json.RawMessage `json:"data"`
}

const mostEvents = 100

var (
	idForm   = regexp.MustCompile(`^[\w.-]{8,80}$`)
	typeForm = regexp.MustCompile(`^[a-z]+\.[a-z-]+$`)

	// What an event is about decides the topic that it goes to.
	topics = map[string]string{"order": "orders", "product": "activity", "cart": "activity"}
)

// Topic is where the event belongs; "" when nobody wants its kind.
func (e Event) Topic() string {
	subject, _, _ := strings.Cut(e.Type, ".")
	return topics[subject]
}

// Check says what is wrong with an event, in words for whoever sent it.
func (e Event) Check() error {
	switch {
	case !idForm.MatchString(e.ID):
		return errors.New("the id must be 8 to 80 letters, digits, dots or dashes")
	case !typeForm.MatchString(e.Type) || e.Topic() == "":
		return fmt.Errorf("the type %q is none of order.*, product.*, cart.*", e.Type)
	case e.Time.IsZero():
		return errors.New("the time is missing")
	case e.Visitor == "" || len(e.Visitor) > 100:
		return errors.New("the visitor is missing or too long")
	case len(e.Data) == 0 || e.Data[0] != '{':
		return errors.New("the data must be an object")
	}
	return nil
}

// Parse reads one event or a list of them. Either all are good or none is taken.
func Parse(body []byte) ([]Event, error) {
	var events []Event
	if trimmed := strings.TrimSpace(string(body)); strings.HasPrefix(trimmed, "[") {
		if err := json.Unmarshal(body, &events); err != nil {
			return nil, fmt.Errorf("this is no list of events: %w", err)
		}
	} else {
		var one Event
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, fmt.Errorf("this is no event: %w", err)
		}
		events = []Event{one}
	}
	if len(events) == 0 || len(events) > mostEvents {
		return nil, fmt.Errorf("send 1 to %d events", mostEvents)
	}
	for i, event := range events {
		if err := event.Check(); err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
	}
	return events, nil
}
