package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Postgres keeps orders.
type Postgres struct{ pool *pgxpool.Pool }

const insertOrder = `
insert into orders (id, visitor, name, email, street, postcode, city, gift_note, subtotal_cents, shipping_cents, total_cents, status)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending')
on conflict (id) do nothing`

// Begin keeps a pending order unless there is one of this id, and gives the one that is there.
func (p Postgres) Begin(ctx context.Context, o Order) (Order, error) {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		c := o.Customer
		added, err := tx.Exec(ctx, insertOrder, o.ID, o.Visitor, c.Name, c.Email, c.Street, c.Postcode, c.City,
			o.GiftNote, o.SubtotalCents, o.ShippingCents, o.TotalCents)
		if err != nil || added.RowsAffected() == 0 {
			return err
		}
		for i, line := range o.Lines {
			_, err := tx.Exec(ctx,
				`insert into lines (order_id, position, product, name, size, quantity, price_cents) values ($1, $2, $3, $4, $5, $6, $7)`,
				o.ID, i, line.Product, line.Name, line.Size, line.Quantity, line.PriceCents)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Order{}, err
	}
	kept, found, err := p.Find(ctx, o.ID)
	if err == nil && !found {
		err = errors.New("the order is gone")
	}
	return kept, err
}

// Settle ends a pending order; with it the event is kept, to be sent. It says whether this call did it.
func (p Postgres) Settle(ctx context.Context, id, status, reason, reference string, event json.RawMessage) (bool, error) {
	settled := false
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		changed, err := tx.Exec(ctx,
			`update orders set status = $2, reason = $3, reference = $4 where id = $1 and status = 'pending'`,
			id, status, reason, reference)
		if err != nil || changed.RowsAffected() == 0 {
			return err
		}
		settled = true
		if event == nil {
			return nil
		}
		_, err = tx.Exec(ctx, `insert into outbox (event) values ($1)`, event)
		return err
	})
	return settled && err == nil, err
}

// Find gives the order of an id, if there is one.
func (p Postgres) Find(ctx context.Context, id string) (Order, bool, error) {
	o := Order{ID: id}
	o.Currency = currency
	c := &o.Customer
	err := p.pool.QueryRow(ctx, `
		select visitor, status, reason, name, email, street, postcode, city, gift_note,
		       subtotal_cents, shipping_cents, total_cents, placed_at
		from orders where id = $1`, id).Scan(
		&o.Visitor, &o.Status, &o.Reason, &c.Name, &c.Email, &c.Street, &c.Postcode, &c.City, &o.GiftNote,
		&o.SubtotalCents, &o.ShippingCents, &o.TotalCents, &o.PlacedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, false, nil
	}
	if err != nil {
		return Order{}, false, err
	}
	rows, err := p.pool.Query(ctx,
		`select product, size, quantity, name, price_cents from lines where order_id = $1 order by position`, id)
	if err != nil {
		return Order{}, false, err
	}
	o.Lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (line Line, err error) {
		err = row.Scan(&line.Product, &line.Size, &line.Quantity, &line.Name, &line.PriceCents)
		return line, err
	})
	return o, err == nil, err
}

// Check asks the database for a sign of life.
func (p Postgres) Check(ctx context.Context) error { return p.pool.Ping(ctx) }

// Unsent hands the oldest events that are not sent to `send`, and remembers that they are if it succeeds.
// Rows that another replica has in hand are left to it.
func (p Postgres) Unsent(ctx context.Context, most int, send func([]json.RawMessage) error) (count int, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`select id, event from outbox where sent_at is null order by id limit $1 for update skip locked`, most)
		if err != nil {
			return err
		}
		var ids []int64
		var events []json.RawMessage
		var id int64
		var event json.RawMessage
		if _, err := pgx.ForEachRow(rows, []any{&id, &event}, func() error {
			ids, events = append(ids, id), append(events, append(json.RawMessage(nil), event...))
			return nil
		}); err != nil || len(ids) == 0 {
			return err
		}
		if err := send(events); err != nil {
			return err
		}
		count = len(ids)
		_, err = tx.Exec(ctx, `update outbox set sent_at = now() where id = any($1)`, ids)
		return err
	})
	return count, err
}
