package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

const patience = 15 * time.Second

// Routes are POST /quotes, POST /orders, GET /orders/{id} and GET /healthz.
func Routes(shop Shop) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(context.Context, *http.Request) (int, any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			status, data, err := serve(ctx, r)
			if err != nil {
				refuse(w, r, err)
				return
			}
			answer(w, status, data)
		})
	}
	handle("GET /healthz", func(ctx context.Context, _ *http.Request) (int, any, error) {
		return http.StatusOK, map[string]string{"status": "ok"}, shop.Store.Check(ctx)
	})
	handle("POST /quotes", func(ctx context.Context, r *http.Request) (int, any, error) {
		var asked struct{ Items []Item }
		if err := read(r, &asked); err != nil {
			return 0, nil, err
		}
		quote, err := shop.Quote(ctx, asked.Items)
		return http.StatusOK, quote, err
	})
	handle("POST /orders", func(ctx context.Context, r *http.Request) (int, any, error) {
		var request Request
		if err := read(r, &request); err != nil {
			return 0, nil, err
		}
		order, err := shop.Place(ctx, request)
		if order.Status == "declined" {
			return http.StatusPaymentRequired, map[string]string{"error": order.Reason, "field": "card"}, err
		}
		return http.StatusCreated, order, err
	})
	handle("GET /orders/{id}", func(ctx context.Context, r *http.Request) (int, any, error) {
		id := r.PathValue("id")
		if !idForm.MatchString(id) {
			return 0, nil, errNoOrder
		}
		order, found, err := shop.Store.Find(ctx, id)
		if err == nil && !found {
			err = errNoOrder
		}
		return http.StatusOK, order, err
	})
	return mux
}

var errNoOrder = errors.New("there is no such order")

func read(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return Invalid{"", "The body is not the JSON that we expect."}
	}
	return nil
}

func answer(w http.ResponseWriter, status int, data any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(data) // whoever asked has left: nobody to tell
}

// refuse tells mistakes of the caller, absences, and our own trouble apart.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var invalid Invalid
	switch {
	case errors.As(err, &invalid):
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": invalid.Problem, "field": invalid.Field})
	case errors.Is(err, errNoOrder):
		answer(w, http.StatusNotFound, map[string]string{"error": "There is no such order."})
	default:
		// Whatever it is, the same request may succeed later: a neighbour or the database is away.
		slog.Warn(r.Method+" "+r.URL.Path, "cause", err.Error())
		w.Header().Set("retry-after", "1")
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "We cannot take orders at the moment."})
	}
}
