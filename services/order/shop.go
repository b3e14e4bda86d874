package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"
)

// Prices, Charges and Store are what placing an order needs; tests have their own.
type (
	Prices interface {
		Products(ctx context.Context, slugs []string) (map[string]Product, error)
	}
	Charges interface {
		Charge(ctx context.Context, key string, cents int, card Card) (Charge, error)
	}
	Store interface {
		// Begin keeps a pending order unless there is one of this id, and gives the one that is there.
		Begin(ctx context.Context, order Order) (Order, error)
		// Settle ends a pending order; with it the event is kept, to be sent. It says whether this call did it.
		Settle(ctx context.Context, id, status, reason, reference string, event json.RawMessage) (bool, error)
		Find(ctx context.Context, id string) (Order, bool, error)
		Check(ctx context.Context) error
	}
)

// A Shop places orders.
type Shop struct {
	Prices  Prices
	Charges Charges
	Store   Store
	Placed  func() // told after each placed order
}

// Quote says what items cost.
func (s Shop) Quote(ctx context.Context, items []Item) (Quote, error) {
	if err := checkItems(items); err != nil {
		return Quote{}, err
	}
	slugs := make([]string, len(items))
	for i, item := range items {
		slugs[i] = item.Product
	}
	products, err := s.Prices.Products(ctx, slugs)
	if err != nil {
		return Quote{}, err
	}
	return Price(items, products)
}

// Place buys: the order is on record before a card is charged, and the charge has the order's id for its key.
// So it may be interrupted anywhere and sent again, and there is one order and one charge.
func (s Shop) Place(ctx context.Context, request Request) (Order, error) {
	if err := request.Identify(); err != nil {
		return Order{}, err
	}
	order, found, err := s.Store.Find(ctx, request.ID)
	if err != nil {
		return Order{}, err
	}
	if !found {
		if order, err = s.begin(ctx, request); err != nil {
			return Order{}, err
		}
	}
	if order.Visitor != request.Visitor {
		return Order{}, Invalid{"id", "This order is somebody else's."}
	}
	// A form that is sent again finds its order, though the cart that it was for is empty by now.
	if order.Status != "pending" {
		return order, nil
	}
	charge, err := s.Charges.Charge(ctx, order.ID, order.TotalCents, request.Card)
	if err != nil {
		return Order{}, err
	}
	var event json.RawMessage
	if charge.Status == "paid" {
		if event, err = placedEvent(order); err != nil {
			return Order{}, err
		}
	}
	settled, err := s.Store.Settle(ctx, order.ID, charge.Status, charge.Reason, charge.Reference, event)
	if err != nil {
		return Order{}, err
	}
	if settled && charge.Status == "paid" {
		s.Placed()
	}
	order.Status, order.Reason = charge.Status, charge.Reason
	return order, nil
}

// begin keeps a pending order of what the request asks for, at today's prices.
func (s Shop) begin(ctx context.Context, request Request) (Order, error) {
	if err := request.Check(); err != nil {
		return Order{}, err
	}
	quote, err := s.Quote(ctx, request.Items)
	if err != nil {
		return Order{}, err
	}
	return s.Store.Begin(ctx, Order{
		ID: request.ID, Visitor: request.Visitor, Status: "pending",
		Customer: request.Customer, GiftNote: request.GiftNote, Quote: quote,
	})
}

// placedEvent tells everybody else of a paid order.
func placedEvent(order Order) (json.RawMessage, error) {
	return json.Marshal(map[string]any{
		"id": rand.Text(), "type": "order.placed", "time": time.Now().UTC(), "visitor": order.Visitor,
		"data": map[string]any{
			"order": order.ID, "items": order.Lines, "customer": order.Customer, "gift_note": order.GiftNote,
			"subtotal_cents": order.SubtotalCents, "shipping_cents": order.ShippingCents,
			"total_cents": order.TotalCents, "currency": order.Currency,
		},
	})
}
