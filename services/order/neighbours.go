package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrAway is a neighbour that does not answer as it should; the same request may succeed later.
var ErrAway = errors.New("cannot be reached")

// One client for all: no proxy lies between neighbours, and callers give idle connections up before servers do.
var client = &http.Client{Transport: &http.Transport{
	MaxIdleConnsPerHost: 16,
	IdleConnTimeout:     2 * time.Second,
}}

// A Product is what the order needs to know of it.
type Product struct {
	Slug       string   `json:"slug"`
	Name       string   `json:"name"`
	PriceCents int      `json:"price_cents"`
	Sizes      []string `json:"sizes"`
}

// Has says whether it comes in a size.
func (p Product) Has(size string) bool { return slices.Contains(p.Sizes, size) }

// Catalog is the service that knows prices.
type Catalog struct{ URL string }

// Products are those of the slugs that there are.
func (c Catalog) Products(ctx context.Context, slugs []string) (map[string]Product, error) {
	var found struct{ Products []Product }
	address := c.URL + "/products?slugs=" + url.QueryEscape(strings.Join(slugs, ","))
	status, err := call(ctx, 3*time.Second, http.MethodGet, address, nil, nil, &found)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("catalog %w: %d %v", ErrAway, status, err)
	}
	products := make(map[string]Product, len(found.Products))
	for _, product := range found.Products {
		products[product.Slug] = product
	}
	return products, nil
}

// Payment is the service that charges cards.
type Payment struct{ URL string }

// A Charge is what became of one.
type Charge struct {
	Status    string `json:"status"`
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
}

// Charge takes the money at most once for each key, however often it is called.
func (p Payment) Charge(ctx context.Context, key string, cents int, card Card) (Charge, error) {
	var charge Charge
	body := map[string]any{"amount_cents": cents, "currency": currency, "card": card}
	headers := map[string]string{"idempotency-key": key}
	status, err := call(ctx, 8*time.Second, http.MethodPost, p.URL+"/charges", headers, body, &charge)
	switch {
	case err == nil && (status == http.StatusCreated || status == http.StatusPaymentRequired):
		return charge, nil
	case err == nil && status == http.StatusConflict:
		return charge, Invalid{"card", "This order was already paid for with another card. Please start again."}
	}
	return charge, fmt.Errorf("payment %w: %d %v", ErrAway, status, err)
}

// Events is the service that tells everybody what happened.
type Events struct{ URL string }

// Send hands events over; they are safe when it returns nil.
func (e Events) Send(ctx context.Context, events []json.RawMessage) error {
	status, err := call(ctx, 6*time.Second, http.MethodPost, e.URL+"/events", nil, events, nil)
	if err != nil || status != http.StatusAccepted {
		return fmt.Errorf("events %w: %d %v", ErrAway, status, err)
	}
	return nil
}

// call sends JSON and reads JSON, within a time. What it is used for is safe to send twice, so a broken
// connection is tried once more.
func call(ctx context.Context, patience time.Duration, method, address string, headers map[string]string, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return 0, err
		}
	}
	status, err := once(ctx, method, address, headers, body, out)
	if err != nil && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		status, err = once(ctx, method, address, headers, body, out)
	}
	return status, err
}

func once(ctx context.Context, method, address string, headers map[string]string, body []byte, out any) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("content-type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil || out == nil || len(data) == 0 {
		return response.StatusCode, err
	}
	return response.StatusCode, json.Unmarshal(data, out)
}
