package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"
)

const (
	mostBytes = 256 << 10
	patience  = 5 * time.Second
)

// Routes are POST /events and GET /healthz.
func Routes(stream Stream) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := stream.Check(ctx); err != nil {
			refuse(w, http.StatusServiceUnavailable, "the stream cannot be reached")
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "that is more than one request may hold")
			return
		}
		events, err := Parse(body)
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := stream.Append(ctx, events); err != nil {
			slog.Warn("the stream does not take events", "cause", err.Error())
			w.Header().Set("retry-after", "1")
			refuse(w, http.StatusServiceUnavailable, "the stream does not take events now")
			return
		}
		answer(w, http.StatusAccepted, map[string]int{"accepted": len(events)})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, data any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(data) // whoever asked has left: nobody to tell
}

func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, map[string]string{"error": reason})
}
