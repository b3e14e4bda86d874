package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

const orderID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"

var assortment = map[string]Product{
	"tee":  {"tee", "Plain tee", 2900, []string{"S", "M"}},
	"coat": {"coat", "Wool coat", 27900, []string{"36"}},
}

type prices struct{ err error }

func (p prices) Products(context.Context, []string) (map[string]Product, error) {
	return assortment, p.err
}

type charges struct {
	made   map[string]int
	answer Charge
	err    error
}

func (c *charges) Charge(_ context.Context, key string, cents int, _ Card) (Charge, error) {
	c.made[key] = cents
	return c.answer, c.err
}

type memory struct {
	orders map[string]Order
	events []json.RawMessage
	err    error
}

func (m *memory) Begin(_ context.Context, order Order) (Order, error) {
	if _, found := m.orders[order.ID]; !found {
		m.orders[order.ID] = order
	}
	return m.orders[order.ID], m.err
}

func (m *memory) Settle(_ context.Context, id, status, reason, _ string, event json.RawMessage) (bool, error) {
	order := m.orders[id]
	if order.Status != "pending" || m.err != nil {
		return false, m.err
	}
	order.Status, order.Reason = status, reason
	m.orders[id] = order
	if event != nil {
		m.events = append(m.events, event)
	}
	return true, nil
}

func (m *memory) Find(_ context.Context, id string) (Order, bool, error) {
	order, found := m.orders[id]
	return order, found, m.err
}

func (m *memory) Check(context.Context) error { return m.err }

type world struct {
	store   *memory
	charges *charges
	shop    Shop
	placed  int
}

func newWorld() *world {
	w := &world{
		store:   &memory{orders: map[string]Order{}},
		charges: &charges{made: map[string]int{}, answer: Charge{Status: "paid", Reference: "ch_1"}},
	}
	w.shop = Shop{prices{}, w.charges, w.store, func() { w.placed++ }}
	return w
}

func request() Request {
	return Request{
		ID: orderID, Visitor: "v1",
		Items:    []Item{{"tee", "S", 2}},
		Customer: Customer{"Ada L", "ada@example.com", "1 Loom Lane", "12345", "Ystad"},
		Card:     Card{"4242424242424242", "12/30"},
	}
}

func TestShippingIsFreeFromAHundred(t *testing.T) {
	for _, c := range []struct{ items, subtotal, total int }{{1, 2900, 3390}, {3, 8700, 9190}, {4, 11600, 11600}} {
		quote, err := Price([]Item{{"tee", "S", c.items}}, assortment)
		if err != nil || quote.SubtotalCents != c.subtotal || quote.TotalCents != c.total {
			t.Errorf("%d tees: %+v %v", c.items, quote, err)
		}
	}
}

func TestOnlyWhatThereIsCanBePriced(t *testing.T) {
	for _, items := range [][]Item{{}, {{"gone", "S", 1}}, {{"tee", "XXL", 1}}, {{"tee", "S", 0}}, {{"tee", "S", 21}}} {
		var invalid Invalid
		if _, err := Price(items, assortment); !errors.As(err, &invalid) || invalid.Field != "items" {
			t.Errorf("%v: %v", items, err)
		}
	}
}

func TestBuyingTwiceWithOneFormBuysOnce(t *testing.T) {
	w := newWorld()
	again := request()
	again.Items = nil // the cart was emptied after the first time
	for _, request := range []Request{request(), again} {
		order, err := w.shop.Place(t.Context(), request)
		if err != nil || order.Status != "paid" {
			t.Fatalf("%+v %v", order, err)
		}
	}
	if len(w.store.events) != 1 || w.placed != 1 || w.charges.made[orderID] != 6290 {
		t.Errorf("%d events, told %d times, charged %v", len(w.store.events), w.placed, w.charges.made)
	}
	if strings.Contains(string(w.store.events[0]), "4242") {
		t.Error("the card travels on")
	}
}

func TestADeclinedCardIsNoOrder(t *testing.T) {
	w := newWorld()
	w.charges.answer = Charge{Status: "declined", Reason: "The card was declined."}
	order, err := w.shop.Place(t.Context(), request())
	if err != nil || order.Status != "declined" || len(w.store.events) != 0 || w.placed != 0 {
		t.Errorf("%+v %v, %d events", order, err, len(w.store.events))
	}
}

func TestAnInterruptedOrderIsFinishedByTheNextTry(t *testing.T) {
	w := newWorld()
	w.charges.err = ErrAway
	if _, err := w.shop.Place(t.Context(), request()); !errors.Is(err, ErrAway) {
		t.Fatal(err)
	}
	w.charges.err = nil
	order, err := w.shop.Place(t.Context(), request())
	if err != nil || order.Status != "paid" || len(w.store.events) != 1 {
		t.Errorf("%+v %v", order, err)
	}
}

func TestNobodyPaysForSomebodyElse(t *testing.T) {
	w := newWorld()
	if _, err := w.shop.Place(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	other := request()
	other.Visitor = "v2"
	var invalid Invalid
	if _, err := w.shop.Place(t.Context(), other); !errors.As(err, &invalid) {
		t.Error(err)
	}
}

func TestTheFormSaysWhichFieldIsWrong(t *testing.T) {
	for field, spoil := range map[string]func(*Request){
		"id":        func(r *Request) { r.ID = "7" },
		"visitor":   func(r *Request) { r.Visitor = "" },
		"name":      func(r *Request) { r.Customer.Name = "  " },
		"email":     func(r *Request) { r.Customer.Email = "ada at home" },
		"street":    func(r *Request) { r.Customer.Street = strings.Repeat("x", 121) },
		"city":      func(r *Request) { r.Customer.City = "Ys\x00tad" },
		"gift_note": func(r *Request) { r.GiftNote = strings.Repeat("x", 201) },
		"items":     func(r *Request) { r.Items = nil },
	} {
		r := request()
		spoil(&r)
		var invalid Invalid
		if _, err := newWorld().shop.Place(t.Context(), r); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func send(t *testing.T, w *world, method, path, body string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	Routes(w.shop).ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

func TestOverHTTP(t *testing.T) {
	w := newWorld()
	good, _ := json.Marshal(request())
	declined := newWorld()
	declined.charges.answer = Charge{Status: "declined", Reason: "No."}
	away := newWorld()
	away.store.err = errors.New("no database")
	for _, c := range []struct {
		world              *world
		method, path, body string
		status             int
		says               string
	}{
		{w, "POST", "/quotes", `{"items":[{"product":"tee","size":"S","quantity":1}]}`, 200, `"total_cents":3390`},
		{w, "POST", "/quotes", `{"items":[]}`, 422, "nothing in the cart"},
		{w, "POST", "/quotes", `{`, 422, "JSON"},
		{w, "GET", "/orders/" + orderID, "", 404, "no such order"},
		{w, "GET", "/orders/x", "", 404, "no such order"},
		{w, "POST", "/orders", string(good), 201, `"status":"paid"`},
		{w, "GET", "/orders/" + orderID, "", 200, `"name":"Plain tee"`},
		{w, "GET", "/healthz", "", 200, "ok"},
		{declined, "POST", "/orders", string(good), 402, `"field":"card"`},
		{away, "GET", "/healthz", "", 503, "cannot"},
		{away, "POST", "/orders", string(good), 503, "cannot take orders"},
	} {
		if status, body := send(t, c.world, c.method, c.path, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
}

type outbox struct {
	waiting [][]json.RawMessage
	sent    chan int
}

func (o *outbox) Unsent(_ context.Context, _ int, send func([]json.RawMessage) error) (int, error) {
	if len(o.waiting) == 0 {
		return 0, nil
	}
	next := o.waiting[0]
	if err := send(next); err != nil {
		return 0, err
	}
	o.waiting = o.waiting[1:]
	o.sent <- len(next)
	return len(next), nil
}

func TestTheRelaySendsWhenNudged(t *testing.T) {
	box := &outbox{waiting: [][]json.RawMessage{{[]byte(`1`)}, {[]byte(`2`), []byte(`3`)}}, sent: make(chan int, 2)}
	nudge := make(chan struct{}, 1)
	go Relay(t.Context(), box, nudge, func(context.Context, []json.RawMessage) error { return nil })
	nudge <- struct{}{}
	if first, second := <-box.sent, <-box.sent; first != 1 || second != 2 {
		t.Errorf("%d, %d", first, second)
	}
}
