package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Outbox holds events until somebody took them.
type Outbox interface {
	Unsent(ctx context.Context, most int, send func([]json.RawMessage) error) (int, error)
}

const (
	batch    = 50
	everyNow = 2 * time.Second // also without a nudge: another replica may have left some
	slowest  = 30 * time.Second
)

// Relay sends what is in the outbox: when nudged, now and then, and ever less often while nobody takes it.
func Relay(ctx context.Context, outbox Outbox, nudge <-chan struct{}, send func(context.Context, []json.RawMessage) error) {
	pause := everyNow
	for {
		count, err := outbox.Unsent(ctx, batch, func(events []json.RawMessage) error { return send(ctx, events) })
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			slog.Warn("events wait in the outbox", "cause", err.Error(), "again_in", pause.String())
		case count > 0:
			slog.Info("events sent", "count", count)
		}
		if err == nil {
			pause = everyNow
		}
		if count == batch {
			continue
		}
		timer := time.After(pause)
		if err != nil {
			pause = min(pause*2, slowest)
		}
		select {
		case <-ctx.Done():
			return
		case <-nudge:
		case <-timer:
		}
	}
}
