// Events takes in what happens in the shop and keeps it on the stream.
package main

import (
	"log/slog"
	"os"
)

func main() {
	name, version := env("OTEL_SERVICE_NAME", "events"), env("NODE_ID", "local")
	Logs(name, version)
	if err := run(name, version); err != nil {
		slog.Error("ends", "cause", err.Error())
		os.Exit(1)
	}
}

func run(name, version string) error {
	stream, err := OpenKafka(os.Getenv("STREAM_BROKERS"), name)
	if err != nil {
		return err
	}
	defer stream.Close()
	return Serve(name, version, env("PORT", "8000"), Routes(stream))
}
