package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var migrations embed.FS

const lock = 7_205_759_404 // any number that only this program uses

// Migrate applies migrations/*.sql in order, each once, each in its own transaction.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		// Two runs at once take turns; the lock ends with the connection.
		_, err := c.Exec(ctx, `select pg_advisory_lock($1)`, int64(lock))
		_, made := c.Exec(ctx, `create table if not exists schema_migrations (
			version text primary key, applied_at timestamptz not null default now())`)
		if err := errors.Join(err, made); err != nil {
			return err
		}
		for _, file := range files {
			if err := apply(ctx, c, file); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	})
}

func apply(ctx context.Context, c *pgxpool.Conn, file string) error {
	version := file[len("migrations/"):][:4]
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		added, err := tx.Exec(ctx, `insert into schema_migrations (version) values ($1) on conflict do nothing`, version)
		if err != nil || added.RowsAffected() == 0 {
			return err
		}
		slog.Info("applies " + file)
		_, err = tx.Exec(ctx, string(text))
		return err
	})
}
