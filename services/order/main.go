// Order prices carts and places orders: alone it serves; `migrate` brings the schema up to date, `show ID` prints an order.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	name, version := env("OTEL_SERVICE_NAME", "order"), env("NODE_ID", "local")
	Logs(name, version)
	if err := run(name, version, os.Args[1:]); err != nil {
		slog.Error("ends", "cause", err.Error())
		os.Exit(1)
	}
}

func run(name, version string, args []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool, err := pgxpool.New(ctx, os.Getenv("ORDERS_URL")) // connects when it is first needed
	if err != nil {
		return err
	}
	defer pool.Close()
	switch {
	case len(args) == 1 && args[0] == "migrate":
		return Migrate(ctx, pool)
	case len(args) == 2 && args[0] == "show":
		return show(ctx, Postgres{pool}, args[1])
	case len(args) > 0:
		return fmt.Errorf("%q: there is migrate and show ID", args)
	}

	store, events := Postgres{pool}, Events{os.Getenv("EVENTS_URL")}
	nudge := make(chan struct{}, 1)
	shop := Shop{
		Prices:  Catalog{os.Getenv("CATALOG_URL")},
		Charges: Payment{os.Getenv("PAYMENT_URL")},
		Store:   store,
		Placed: func() {
			select {
			case nudge <- struct{}{}:
			default: // it is nudged already
			}
		},
	}
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		Relay(ctx, store, nudge, events.Send)
	}()
	err = Serve(name, version, env("PORT", "8000"), Routes(shop))
	cancel()
	<-relayed
	return err
}

// show prints an order as it is in the database.
func show(ctx context.Context, store Store, id string) error {
	if !idForm.MatchString(id) {
		return errNoOrder
	}
	order, found, err := store.Find(ctx, id)
	if err != nil || !found {
		return cmp.Or(err, errNoOrder)
	}
	return json.NewEncoder(os.Stdout).Encode(order)
}
