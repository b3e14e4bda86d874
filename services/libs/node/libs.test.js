import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { Away, neighbour } from "./neighbour.js";
import { Refused, createServer } from "./server.js";

let sick = false;
const server = createServer({
  healthy() {
    if (sick) throw new Refused(503, "no database");
  },
  routes: {
    "GET /things/:id": ({ params, query }) => ({ body: { id: params.id, q: query.get("q") } }),
    "POST /things": async (visit) => ({ status: 201, body: await visit.json() }),
    "POST /forms": async (visit) => ({ body: await visit.form() }),
    "GET /page": () => ({ body: "<p>hi" }),
    "GET /bug": () => undefinedFunction(),
    "GET /no": () => { throw new Refused(422, "No.", { field: "x" }); },
  },
});
let thing;
let url;

before(async () => {
  await new Promise((resolve) => server.listen(0, resolve));
  url = `http://127.0.0.1:${server.address().port}`;
  thing = neighbour("thing", url, { timeout: 500 });
});
after(() => server.close());

test("a route has names and a query", async () => {
  const { status, data } = await thing.get("/things/a%20b?q=1");
  assert.deepEqual({ status, data }, { status: 200, data: { id: "a b", q: "1" } });
});

test("JSON comes in and goes out", async () => {
  assert.deepEqual(await thing.post("/things", { n: 1 }), { status: 201, data: { n: 1 } });
});

test("a form is read, and only a form", async () => {
  const type = "application/x-www-form-urlencoded";
  const answer = await fetch(`${url}/forms`, { method: "POST", body: "a=1&b=%26", headers: { "content-type": type } });
  assert.deepEqual(await answer.json(), { a: "1", b: "&" });
  assert.equal((await fetch(`${url}/forms`, { method: "POST", body: "a=1" })).status, 415);
});

test("errors are answers", async () => {
  assert.deepEqual(await thing.get("/no"), { status: 422, data: { error: "No.", field: "x" } });
  assert.equal((await thing.get("/nothing")).status, 404);
  assert.equal((await thing.delete("/things")).status, 405);
  assert.equal((await fetch(`${url}/things`, { method: "POST", body: "{" })).status, 400);
  assert.equal((await fetch(`${url}/things`, { method: "POST", body: "x".repeat(100_000) })).status, 413);
});

test("a bug is an answer as well, and its text stays here", async () => {
  const answer = await fetch(`${url}/bug`);
  assert.equal(answer.status, 500);
  assert.deepEqual(await answer.json(), { error: "Something went wrong here." });
});

test("health", async () => {
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  sick = true;
  assert.equal((await fetch(`${url}/healthz`)).status, 503);
});

test("every answer says who gave it, and whom it asked", async () => {
  const visit = { servedBy: new Set() };
  await thing.get("/page", { visit }).catch(() => {});
  assert.deepEqual([...visit.servedBy], ["local-local"]);
});

test("what is no JSON, too slow, not listening, or not there at all is away", async () => {
  await assert.rejects(thing.get("/page"), Away);
  await assert.rejects(thing.get("/bug"), /answered 500/);
  const silent = http.createServer(() => {});
  await new Promise((resolve) => silent.listen(0, resolve));
  const slow = neighbour("slow", `http://127.0.0.1:${silent.address().port}`, { timeout: 50 });
  await assert.rejects(slow.get("/"), /did not answer within 50 ms/);
  silent.closeAllConnections();
  await new Promise((resolve) => silent.close(resolve));
  await assert.rejects(neighbour("gone", "http://127.0.0.1:1", { timeout: 500 }).get("/"), /cannot be reached/);
  await assert.rejects(neighbour("none", undefined, { timeout: 500 }).get("/"), /is not here/);
});
