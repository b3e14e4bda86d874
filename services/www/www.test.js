import assert from "node:assert/strict";
import http from "node:http";
import { after, before, beforeEach, test } from "node:test";

import { Away } from "../libs/node/neighbour.js";
import { createApp } from "./server.js";

const product = (slug, more = {}) => ({
  slug, name: `The ${slug}`, category: "knitwear", category_name: "Knitwear", garment: "sweater", pattern: "plain",
  colour: "#e8dcc4", accent: "#c9b48c", shade: "Oat", material: "Wool", description: "Warm.", price_cents: 8900,
  sizes: ["S", "M"], released_at: "2020-01-01", ...more,
});

const PRODUCTS = [
  product("sweater"),
  product("coat", { category: "outerwear", garment: "coat", price_cents: 27900 }),
  product("dress", { category: "dresses", garment: "dress" }),
  product("soon", { released_at: "2999-01-01" }),
];
const ORDER = "6f9619ff-8b86-4011-b42d-00c04fc964ff";
const CARD = { number: "4242 4242 4242 4242", expiry: "12/30" };
const CUSTOMER = { name: "Ada L", email: "ada@example.com", street: "1 Lane", postcode: "1", city: "Ystad" };

// The neighbours, in memory; those in `away` do not answer.
function fakes() {
  const state = { away: new Set(), items: [], told: [], orders: {}, flags: {}, asked: [], decline: false };
  const neighbour = (name, answer) => {
    const ask = (method) => async (path, data) => {
      state.asked.push(`${method} ${name}${path}`);
      if (state.away.has(name)) throw new Away(name, "does not answer");
      return answer(method, path, data);
    };
    return { get: ask("GET"), post: ask("POST"), put: ask("PUT"), delete: ask("DELETE") };
  };
  const ok = (data, status = 200) => ({ status, data });
  const cart = () => ({ items: state.items, count: state.items.reduce((sum, { quantity }) => sum + quantity, 0) });
  const quote = () => ({
    lines: state.items.map((item) => ({ ...item, name: `The ${item.product}`, price_cents: 8900 })),
    subtotal_cents: 8900, shipping_cents: 490, total_cents: 9390, currency: "EUR",
  });
  const neighbours = {
    catalog: neighbour("catalog", (method, path) => {
      if (path.startsWith("/categories")) return ok({ categories: [{ slug: "knitwear", name: "Knitwear", count: 2 }] });
      if (path.startsWith("/products?")) return ok({ products: PRODUCTS });
      const found = PRODUCTS.find(({ slug }) => path === `/products/${slug}`);
      return found ? ok(found) : ok({ error: "We do not have that." }, 404);
    }),
    cart: neighbour("cart", (method, path, data) => {
      if (method === "POST") state.items.push({ product: data.product, size: data.size, quantity: data.quantity });
      if (method === "PUT") state.items = state.items.map((item) => ({ ...item, quantity: data.quantity })).filter((item) => item.quantity);
      if (method === "DELETE") state.items = [];
      return ok(cart(), method === "POST" ? 201 : 200);
    }),
    order: neighbour("order", (method, path, data) => {
      if (path === "/quotes") return ok(quote());
      if (method === "GET") return state.orders[path] ? ok(state.orders[path]) : ok({ error: "none" }, 404);
      if (state.decline) return ok({ error: "The card was declined.", field: "card" }, 402);
      if (!data.customer.name) return ok({ error: "Please tell us your name.", field: "name" }, 422);
      const order = { ...quote(), id: data.id, visitor: data.visitor, status: "paid", customer: data.customer, gift_note: data.gift_note };
      state.orders[`/orders/${data.id}`] = order;
      return ok(order, 201);
    }),
    recommender: neighbour("recommender", () => ok({ recommendations: [{ product: PRODUCTS[1], reason: "Often bought together" }] })),
    flags: neighbour("flags", (method, path) => ok({ flags: { ...state.flags, preview: path.includes("employee=true") } })),
    events: neighbour("events", (method, path, data) => { state.told.push(data); return ok({}, 202); }),
  };
  return { state, neighbours };
}

let state;
let current;
let server;
let url;

before(async () => {
  const through = Object.fromEntries(
    ["catalog", "cart", "order", "recommender", "flags", "events"].map((name) => [
      name,
      Object.fromEntries(["get", "post", "put", "delete"].map((verb) => [verb, (...all) => current[name][verb](...all)])),
    ]),
  );
  server = createApp({ neighbours: through, staffCode: "bobbin" });
  await new Promise((resolve) => server.listen(0, resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});
beforeEach(() => { ({ state, neighbours: current } = fakes()); });
after(() => server.close());

// A visitor with a memory for cookies.
function visitor() {
  const jar = new Map();
  return (path, form) =>
    new Promise((resolve, reject) => {
      const headers = { cookie: [...jar].map((pair) => pair.join("=")).join("; ") };
      if (form) headers["content-type"] = "application/x-www-form-urlencoded";
      const request = http.request(url + path, { method: form ? "POST" : "GET", headers }, (response) => {
        for (const line of response.headers["set-cookie"] ?? []) jar.set(...line.split(";")[0].split("="));
        let body = "";
        response.setEncoding("utf8").on("data", (chunk) => { body += chunk; });
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body, location: response.headers.location }));
      });
      request.on("error", reject);
      request.end(form && new URLSearchParams(form).toString());
    });
}

test("the front page shows products with pictures, and something picked", async () => {
  const { status, body, headers } = await visitor()("/");
  assert.equal(status, 200);
  assert.match(body, /<img class="scene" src="\/pictures\/scene\/dress-/);
  assert.match(body, /Picked for you[\s\S]*Often bought together/);
  assert.match(headers["content-security-policy"], /default-src 'none'/);
  const picture = /\/pictures\/sweater-[^"]+/.exec(body)[0];
  const drawn = await visitor()(picture);
  assert.equal(drawn.headers["content-type"], "image/svg+xml");
  assert.match(drawn.body, /^<svg/);
});

test("a visitor is the same one on the next page", async () => {
  const visit = visitor();
  assert.match((await visit("/")).headers["set-cookie"][0], /^visitor=[0-9a-f-]{36}; .*HttpOnly; SameSite=Lax/);
  assert.equal((await visit("/")).headers["set-cookie"], undefined);
});

test("what only makes a page nicer may be away", async () => {
  for (const name of ["recommender", "flags", "events", "cart"]) state.away.add(name);
  const visit = visitor();
  for (const path of ["/", "/shop", "/products/sweater"]) {
    const { status, body } = await visit(path);
    assert.equal(status, 200, path);
    assert.ok(!body.includes("recommended"), path);
  }
});

test("what a page needs must be there, and the visitor hears that it will be", async () => {
  state.away.add("catalog");
  const { status, body, headers } = await visitor()("/");
  assert.equal(status, 503);
  assert.equal(headers["retry-after"], "2");
  assert.match(body, /rearranging the shelves/);
});

test("choosing, filling the cart, paying, being thanked", async () => {
  const visit = visitor();
  assert.match((await visit("/products/sweater")).body, /name="size" value="M"/);
  assert.equal((await visit("/cart/items", { product: "sweater", size: "M" })).location, "/cart");
  assert.match((await visit("/cart")).body, /€ 93\.90/);
  const id = /name="id" value="([^"]+)"/.exec((await visit("/checkout")).body)[1];
  const paid = await visit("/checkout", { id, ...CUSTOMER, ...CARD });
  assert.equal(paid.location, `/orders/${id}`);
  const thanks = await visit(paid.location);
  assert.match(thanks.body, /Thank you, Ada\./);
  assert.deepEqual(state.items, [], "the cart is empty again");
  assert.deepEqual(state.told.map(({ type }) => type), ["product.viewed", "cart.added"]);
  assert.equal((await visitor()(paid.location)).status, 404, "nobody else sees it");
});

test("a declined card and a missing name are told where they belong, and the form keeps what was typed", async () => {
  const visit = visitor();
  await visit("/cart/items", { product: "sweater", size: "M" });
  state.decline = true;
  const declined = await visit("/checkout", { id: ORDER, ...CUSTOMER, ...CARD });
  assert.equal(declined.status, 402);
  assert.match(declined.body, /The card was declined/);
  assert.match(declined.body, /id="number"[^>]*aria-invalid/);
  assert.match(declined.body, /value="Ada L"/);
  assert.ok(!declined.body.includes('value="4242'), "the card is never sent back");
  assert.notEqual(/name="id" value="([^"]+)"/.exec(declined.body)[1], ORDER, "another try is another order");
  state.decline = false;
  const nameless = await visit("/checkout", { id: ORDER, ...CUSTOMER, name: "", ...CARD });
  assert.equal(nameless.status, 422);
  assert.match(nameless.body, /id="name"[^>]*aria-invalid/);
});

test("a size must be chosen, and one that there is", async () => {
  const visit = visitor();
  assert.equal((await visit("/cart/items", { product: "sweater" })).location, "/products/sweater?size=none");
  assert.equal((await visit("/cart/items", { product: "sweater", size: "XXL" })).status, 422);
  assert.equal((await visit("/cart/items", { product: "gone", size: "M" })).status, 422);
});

test("an empty cart has no checkout", async () => {
  assert.equal((await visitor()("/checkout")).location, "/cart");
  assert.match((await visitor()("/cart")).body, /Your cart is empty/);
});

test("the gift note is for those who have the flag", async () => {
  const visit = visitor();
  await visit("/cart/items", { product: "sweater", size: "M" });
  assert.ok(!(await visit("/checkout")).body.includes("gift_note"));
  state.flags = { "gift-note": true };
  assert.match((await visit("/checkout")).body, /name="gift_note"/);
});

test("the shop's own people see the next season, nobody else", async () => {
  const visit = visitor();
  assert.ok(!(await visit("/shop?preview=true")).body.includes("Next season, for our people"));
  assert.equal((await visit("/staff", { code: "guess" })).status, 403);
  assert.equal((await visit("/staff", { code: "bobbin" })).location, "/staff");
  const shelf = (await visit("/shop?preview=true")).body;
  assert.match(shelf, /Next season, for our people/);
  assert.match(shelf, /The soon/);
  assert.ok(!shelf.includes("The coat"));
});

test("whatever somebody types is text", async () => {
  const { body } = await visitor()(`/shop?q=${encodeURIComponent('"><script>alert(1)</script>')}`);
  assert.ok(!body.includes("<script"));
  assert.match(body, /&lt;script&gt;/);
});

test("an unknown page is a page", async () => {
  const { status, body } = await visitor()("/products/none");
  assert.equal(status, 404);
  assert.match(body, /We looked everywhere/);
  assert.equal((await visitor()("/pictures/car-plain-ffffff-000000.svg")).status, 404);
});
