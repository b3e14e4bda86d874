package main

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	freeShippingFrom = 10000 // cents
	shippingCents    = 490
	mostOfOne        = 20
	mostLines        = 50
	currency         = "EUR"
)

// An Item is what a cart holds.
type Item struct {
	Product  string `json:"product"`
	Size     string `json:"size"`
	Quantity int    `json:"quantity"`
}

// A Line is an item with what it is called and costs today.
type Line struct {
	Item
	Name       string `json:"name"`
	PriceCents int    `json:"price_cents"`
}

// A Quote says what items cost together.
type Quote struct {
	Lines         []Line `json:"lines"`
	SubtotalCents int    `json:"subtotal_cents"`
	ShippingCents int    `json:"shipping_cents"`
	TotalCents    int    `json:"total_cents"`
	Currency      string `json:"currency"`
}

// A Customer is whom the parcel goes to.
type Customer struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Street   string `json:"street"`
	Postcode string `json:"postcode"`
	City     string `json:"city"`
}

// A Card is handed on to the payment service and kept nowhere.
type Card struct {
	Number string `json:"number"`
	Expiry string `json:"expiry"`
}

// A Request is what a buyer sends.
type Request struct {
	ID       string   `json:"id"`
	Visitor  string   `json:"visitor"`
	Items    []Item   `json:"items"`
	Customer Customer `json:"customer"`
	GiftNote string   `json:"gift_note"`
	Card     Card     `json:"card"`
}

// An Order is what became of a request.
type Order struct {
	ID       string   `json:"id"`
	Visitor  string   `json:"visitor"`
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Customer Customer `json:"customer"`
	GiftNote string   `json:"gift_note,omitempty"`
	Quote
	PlacedAt time.Time `json:"placed_at"`
}

// Invalid is a request that no repetition makes better. The field tells a form where to say so.
type Invalid struct{ Field, Problem string }

func (i Invalid) Error() string { return i.Problem }

var idForm = regexp.MustCompile(`^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)

// Identify says what is wrong with whom a request is from and which order it is.
func (r *Request) Identify() error {
	if !idForm.MatchString(r.ID) {
		return Invalid{"id", "The order's id must be a UUID."}
	}
	if r.Visitor == "" || len(r.Visitor) > 100 {
		return Invalid{"visitor", "The visitor is missing."}
	}
	return nil
}

// Check says what is wrong with the rest of a request, in words for the buyer.
func (r *Request) Check() error {
	c := &r.Customer
	for _, field := range []struct {
		name, title string
		value       *string
		limit       int
	}{
		{"name", "name", &c.Name, 80},
		{"email", "e-mail address", &c.Email, 120},
		{"street", "street", &c.Street, 120},
		{"postcode", "postcode", &c.Postcode, 12},
		{"city", "city", &c.City, 80},
	} {
		*field.value = strings.TrimSpace(*field.value)
		if *field.value == "" {
			return Invalid{field.name, fmt.Sprintf("Please tell us your %s.", field.title)}
		}
		if !writable(*field.value, field.limit) {
			return Invalid{field.name, fmt.Sprintf("Your %s is too long, or has characters that cannot be printed.", field.title)}
		}
	}
	if address, err := mail.ParseAddress(c.Email); err != nil || address.Address != c.Email {
		return Invalid{"email", "That does not look like an e-mail address."}
	}
	r.GiftNote = strings.TrimSpace(strings.ReplaceAll(r.GiftNote, "\r\n", "\n"))
	if !writable(strings.ReplaceAll(r.GiftNote, "\n", " "), 200) {
		return Invalid{"gift_note", "The note for the gift is longer than 200 characters."}
	}
	return checkItems(r.Items)
}

func checkItems(items []Item) error {
	if len(items) == 0 {
		return Invalid{"items", "There is nothing in the cart."}
	}
	if len(items) > mostLines {
		return Invalid{"items", "That is more than fits into one parcel."}
	}
	for _, item := range items {
		if item.Quantity < 1 || item.Quantity > mostOfOne {
			return Invalid{"items", fmt.Sprintf("We send 1 to %d of one thing.", mostOfOne)}
		}
	}
	return nil
}

func writable(text string, limit int) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= limit && !strings.ContainsFunc(text, unicode.IsControl)
}

// Price makes a quote of items by what the catalogue says of them.
func Price(items []Item, products map[string]Product) (Quote, error) {
	quote := Quote{Currency: currency}
	if err := checkItems(items); err != nil {
		return quote, err
	}
	for _, item := range items {
		product, found := products[item.Product]
		if !found {
			return quote, Invalid{"items", fmt.Sprintf("We do not have %s any more.", item.Product)}
		}
		if !product.Has(item.Size) {
			return quote, Invalid{"items", fmt.Sprintf("%s does not come in %s.", product.Name, item.Size)}
		}
		quote.Lines = append(quote.Lines, Line{item, product.Name, product.PriceCents})
		quote.SubtotalCents += item.Quantity * product.PriceCents
	}
	if quote.SubtotalCents < freeShippingFrom {
		quote.ShippingCents = shippingCents
	}
	quote.TotalCents = quote.SubtotalCents + quote.ShippingCents
	return quote, nil
}
