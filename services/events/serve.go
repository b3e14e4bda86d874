package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Logs makes every line one JSON object on standard output that says which service speaks.
func Logs(name, version string) {
	handler := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey {
			a.Key = "message"
		}
		return a
	}})
	slog.SetDefault(slog.New(handler).With("service", name, "version", version))
}

// Serve answers on the port until SIGTERM or SIGINT, then finishes what is in flight.
func Serve(name, version, port string, handler http.Handler) error {
	server := &http.Server{
		Addr:              ":" + port,
		Handler:           observed(name+"-"+version, handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than any caller keeps an idle connection
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	slog.Info("listens", "port", port)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if err := server.Shutdown(patience); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	slog.Info("has answered everything and leaves")
	return nil
}

// observed says who answers, and logs what was asked. Probes are asked every moment and never interesting.
func observed(served string, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		w.Header().Set("x-served-by", served)
		recorder := &recorder{ResponseWriter: w}
		inner.ServeHTTP(recorder, r)
		if r.URL.Path != "/healthz" {
			ms := float64(time.Since(began).Microseconds()) / 1000
			slog.Info(r.Method+" "+r.URL.Path, "status", cmp.Or(recorder.status, http.StatusOK), "ms", ms)
		}
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
