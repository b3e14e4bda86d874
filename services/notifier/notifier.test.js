import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

import { letterFor } from "./letter.js";
import { migrate, versions } from "./migrate.js";
import { consume, handle, patiently } from "./worker.js";

const EVENT = {
  id: "event-1",
  type: "order.placed",
  data: {
    order: "6f9619ff-8b86-4011-b42d-00c04fc964ff",
    customer: { name: "Ada Lovelace", email: "ada@example.com", street: "1 Loom Lane", postcode: "12345", city: "Ystad" },
    items: [{ product: "tee", name: "Plain good tee", size: "S", quantity: 2, price_cents: 2900 }],
    shipping_cents: 490,
    total_cents: 6290,
    gift_note: "For you",
  },
};

class FakeOutbox {
  letters = new Map();
  failures = 0;
  async query(_statement, [id, order, recipient]) {
    if (this.failures-- > 0) throw new Error("no database");
    const rowCount = this.letters.has(id) ? 0 : 1;
    this.letters.set(id, { order, recipient });
    return { rowCount };
  }
}

function message(value, committed = []) {
  return { offset: 1n, value: typeof value === "string" ? value : JSON.stringify(value), commit: async () => committed.push(value) };
}

const staying = new AbortController().signal;

test("the letter says what was bought, for how much, and where it goes", () => {
  const { recipient, subject, body } = letterFor(EVENT);
  assert.equal(recipient, "ada@example.com");
  assert.equal(subject, "Your order 6F9619FF");
  for (const part of ["Dear Ada,", "2 × Plain good tee, S   € 58.00", "Shipping   € 4.90", "Total   € 62.90", "12345 Ystad", "“For you”"]) {
    assert.ok(body.includes(part), part);
  }
});

test("free shipping is called free, and no note is no card", () => {
  const { body } = letterFor({ ...EVENT, data: { ...EVENT.data, shipping_cents: 0, gift_note: "" } });
  assert.ok(body.includes("Shipping   free") && !body.includes("On the card"));
});

test("an order that is read twice is one letter", async () => {
  const db = new FakeOutbox();
  for (let i = 0; i < 2; i++) await handle(message(EVENT), db);
  assert.equal(db.letters.size, 1);
});

test("what asks for no letter gets none, and nonsense stops nothing", async () => {
  const db = new FakeOutbox();
  for (const value of [{ type: "product.viewed" }, "{", "null", { type: "order.placed", data: {} }]) await handle(message(value), db);
  assert.equal(db.letters.size, 0);
});

test("a message is committed only after its letter is written", async () => {
  const db = new FakeOutbox();
  db.failures = 2;
  const committed = [];
  await consume([message(EVENT, committed)], db, staying);
  assert.equal(db.letters.size, 1);
  assert.equal(committed.length, 1);
});

test("who leaves commits nothing that is not done", async () => {
  const leaving = new AbortController();
  const committed = [];
  const db = { query: async () => { leaving.abort(); throw new Error("no database"); } };
  await consume([message(EVENT, committed)], db, leaving.signal);
  assert.deepEqual(committed, []);
});

test("trying again ends with success", async () => {
  let tries = 0;
  assert.equal(await patiently(async () => { if (++tries < 3) throw new Error("not yet"); return tries; }, staying, 1), 3);
});

test("migrations run in order, each once", async () => {
  const statements = [];
  const db = { query: async (text) => (statements.push(text), { rows: [{ version: "0001" }] }) };
  await migrate(db, versions(["0002_b.sql", "notes.txt", "0001_a.sql"]), (name) => `-- ${name}`);
  assert.ok(statements[0].includes("pg_advisory_lock"));
  assert.ok(statements.includes("-- 0002_b.sql") && !statements.includes("-- 0001_a.sql"));
  assert.throws(() => versions(["first.sql"]), /expected a name/);
  assert.throws(() => versions(["0001_a.sql", "0001_b.sql"]), /another migration/);
  assert.equal(versions(readdirSync(new URL("migrations/", import.meta.url)))[0].version, "0001");
});
