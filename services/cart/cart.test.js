import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { neighbour } from "../libs/node/neighbour.js";
import { createCarts } from "./carts.js";
import { createApp } from "./server.js";

// As much of Redis as the carts need, the script included.
class FakeRedis {
  hashes = new Map();
  seen = new Set();
  broken = false;

  hash(key) {
    if (this.broken) throw new Error("connection lost");
    if (!this.hashes.has(key)) this.hashes.set(key, {});
    return this.hashes.get(key);
  }
  hGetAll = async (key) => ({ ...this.hash(key) });
  hDel = async (key, field) => delete this.hash(key)[field];
  hExists = async (key, field) => field in this.hash(key);
  hSet = async (key, field, value) => { this.hash(key)[field] = String(value); };
  del = async (key) => this.hashes.delete(key);
  ping = async () => this.hash("ping") && "PONG";
  eval = async (script, { keys: [cart, request], arguments: [field, quantity, most, lines] }) => {
    const hash = this.hash(cart);
    if (this.seen.has(request)) return 0;
    this.seen.add(request);
    if (!(field in hash) && Object.keys(hash).length >= Number(lines)) return -1;
    hash[field] = String(Math.min(Number(hash[field] ?? 0) + Number(quantity), Number(most)));
    return 1;
  };
}

const ID = "visitor-0001";
let redis;
let server;
let cart;

before(async () => {
  server = createApp({
    read: (...all) => createCarts(redis).read(...all),
    add: (...all) => createCarts(redis).add(...all),
    set: (...all) => createCarts(redis).set(...all),
    empty: (...all) => createCarts(redis).empty(...all),
    check: () => createCarts(redis).check(),
  });
  await new Promise((resolve) => server.listen(0, resolve));
  cart = neighbour("cart", `http://127.0.0.1:${server.address().port}`, { timeout: 2000 });
});
beforeEach(() => { redis = new FakeRedis(); });
after(() => server.close());

let requests = 0;
const add = (product, size = "M", quantity = 1, request = `request-${requests++}`) =>
  cart.post(`/carts/${ID}/items`, { product, size, quantity, request });

test("a cart nobody has filled is empty", async () => {
  assert.deepEqual((await cart.get(`/carts/${ID}`)).data, { items: [], count: 0 });
});

test("things are added up, each size for itself", async () => {
  await add("tee", "M");
  await add("tee", "M", 2);
  const { status, data } = await add("tee", "S");
  assert.equal(status, 201);
  assert.deepEqual(data.items, [
    { product: "tee", size: "M", quantity: 3 },
    { product: "tee", size: "S", quantity: 1 },
  ]);
  assert.equal(data.count, 4);
});

test("a request that is sent twice adds once", async () => {
  await add("tee", "M", 1, "the-same-one");
  assert.equal((await add("tee", "M", 1, "the-same-one")).data.count, 1);
});

test("a quantity is set, and 0 takes it out", async () => {
  await add("tee");
  const set = (quantity) => cart.put(`/carts/${ID}/items`, { product: "tee", size: "M", quantity });
  assert.equal((await set(5)).data.count, 5);
  assert.equal((await set(0)).data.count, 0);
  assert.equal((await set(3)).data.count, 0, "what is not in the cart is not put there");
});

test("there are limits", async () => {
  assert.equal((await add("tee", "M", 20)).data.count, 20);
  assert.equal((await add("tee", "M", 20)).data.count, 20);
  for (let i = 0; i < 49; i++) await add(`hat-${i}`);
  assert.equal((await add("one-more")).status, 422);
  for (const wrong of [0, 21, 1.5, "1"]) assert.equal((await add("tee", "M", wrong)).status, 422);
  assert.equal((await add("../etc")).status, 422);
  assert.equal((await add("tee", "M|L")).status, 422);
  assert.equal((await cart.get("/carts/x")).status, 404);
});

test("an emptied cart is empty", async () => {
  await add("tee");
  assert.equal((await cart.delete(`/carts/${ID}`)).data.count, 0);
  assert.equal((await cart.get(`/carts/${ID}`)).data.count, 0);
});

test("without Redis it says so", async () => {
  redis.broken = true;
  await assert.rejects(cart.get(`/carts/${ID}`), /answered 503/);
  await assert.rejects(cart.get("/healthz"), /answered 503/);
});
