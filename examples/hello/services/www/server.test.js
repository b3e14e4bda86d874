import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { createApi } from "./api.js";
import { drainable } from "./drain.js";
import { createServer } from "./server.js";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()();
});

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    return server.listening && new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${server.address().port}`;
}

// An api that answers with `answer(request, body, response)`: data, or undefined if it did so itself.
async function fakeApi(answer = () => ({ greetings: [], total: 0, database: "PostgreSQL 15" })) {
  const requests = [];
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push(`${request.method} ${request.url}`);
    response.setHeader("x-served-by", "api-2b");
    const data = await answer(request, body && JSON.parse(body), response);
    if (data !== undefined) response.end(JSON.stringify(data));
  });
  return { url: await listen(server), requests };
}

async function start({ url = "http://127.0.0.1:1", timeout = 2000 } = {}) {
  const api = createApi({ url, timeout });
  cleanups.push(() => api.close());
  const server = createServer({ api, nodeId: "1a" });
  const { drain } = drainable(server, { patience: 1000 });
  return { server, drain, url: await listen(server) };
}

function ask(url, { method = "GET", body, headers = {}, agent = false } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
    request.on("error", reject);
    request.end(body);
  });
}

function post(url, fields, headers = { "content-type": "application/x-www-form-urlencoded" }) {
  const body = typeof fields === "string" ? fields : new URLSearchParams(fields).toString();
  return ask(url, { method: "POST", body, headers });
}

test("GET / shows the wall and names who served it", async () => {
  const api = await fakeApi();
  const www = await start(api);
  const answer = await ask(www.url);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["x-served-by"], "www-1a, api-2b");
  assert.match(answer.text, /Say hello/);
});

test("GET /healthz speaks of itself alone", async () => {
  const www = await start();
  const answer = await ask(`${www.url}/healthz`);
  assert.deepEqual([answer.status, answer.text], [200, "ok\n"]);
  assert.equal(answer.headers["x-served-by"], "www-1a");
});

test("POST / adds a greeting and goes back to the wall", async () => {
  let added;
  const api = await fakeApi((request, body, response) => {
    added = body;
    response.statusCode = 201;
    return body;
  });
  const www = await start(api);
  const answer = await post(www.url, { id: "7", author: "Zoë & co", message: "1\r\n2", tint: "sky" });
  assert.deepEqual([answer.status, answer.headers.location], [303, "/"]);
  assert.equal(answer.headers["x-served-by"], "www-1a, api-2b");
  assert.deepEqual(added, { id: "7", author: "Zoë & co", message: "1\r\n2", tint: "sky" });
});

test("a refused greeting comes back with the reason", async () => {
  const api = await fakeApi((request, body, response) => {
    if (request.method === "GET") return { greetings: [], total: 0 };
    response.statusCode = 422;
    return { error: "Please write a name.", field: "author" };
  });
  const www = await start(api);
  const answer = await post(www.url, { message: "hello" });
  assert.equal(answer.status, 422);
  assert.equal(answer.headers["x-served-by"], "www-1a, api-2b", "each node once");
  assert.match(answer.text, /Please write a name\./);
});

test("requests that make no sense are refused clearly", async () => {
  const www = await start();
  assert.equal((await ask(`${www.url}/nothing`)).status, 404);
  const put = await ask(www.url, { method: "PUT" });
  assert.deepEqual([put.status, put.headers.allow], [405, "GET, HEAD, POST"]);
  assert.equal((await post(www.url, "{}", { "content-type": "application/json" })).status, 415);
  assert.equal((await post(www.url, "x".repeat(9000))).status, 413);
  assert.equal((await post(www.url, "x".repeat(900_000))).status, 413);
});

test("what is not HTTP gets an answer, too", async () => {
  const www = await start();
  const socket = net.connect(new URL(www.url).port, "127.0.0.1");
  socket.end("hello there\r\n\r\n");
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1\.1 400 .*\r\nx-served-by: www-1a\r\n/);
});

test("an api that is gone is 502, a slow one 504, a confused one 502", async () => {
  const gone = await start();
  const answer = await ask(gone.url);
  assert.deepEqual([answer.status, answer.headers["x-served-by"]], [502, "www-1a"]);

  const slow = await fakeApi(() => sleep(500, {}));
  assert.equal((await ask((await start({ ...slow, timeout: 100 })).url)).status, 504);

  const confused = await fakeApi((request, body, response) => void response.end("<html>"));
  assert.equal((await ask((await start(confused)).url)).status, 502);

  const failing = await fakeApi((request, body, response) => {
    response.statusCode = 503;
    return { error: "no database" };
  });
  const failed = await ask((await start(failing)).url);
  assert.equal(failed.status, 502);
  assert.match(failed.text, /The api answered 503: no database/);
});

test("a broken connection to the api is tried again", async () => {
  let left = 2;
  const api = await fakeApi((request, body, response) => {
    if (left-- > 0) return void response.destroy();
    return { greetings: [], total: 0 };
  });
  const www = await start(api);
  assert.equal((await ask(www.url)).status, 200);
  left = 1;
  assert.equal((await post(www.url, { id: "7" })).status, 303);
  assert.equal(api.requests.length, 5);
});

test("while it drains everything is answered and connections close", async () => {
  const api = await fakeApi(() => sleep(100, { greetings: [], total: 0 }));
  const www = await start(api);
  const agent = new http.Agent({ keepAlive: true });
  cleanups.push(() => agent.destroy());
  assert.equal((await ask(www.url, { agent })).headers.connection, "keep-alive");

  const inFlight = ask(www.url, { agent });
  await sleep(30);
  const drained = www.drain({ least: 200, quiet: 0, most: 200 });
  assert.equal(www.drain(), drained, "a second signal changes nothing");
  for (const answer of [await inFlight, await ask(www.url, { agent })]) {
    assert.deepEqual([answer.status, answer.headers.connection], [200, "close"]);
  }
  await drained;
  await assert.rejects(ask(www.url), { code: "ECONNREFUSED" });
});

// A connection that is silent stays open for minutes: leaving must not wait so long.
test("leaving waits for the last answer, not for silent connections", { timeout: 60_000 }, async () => {
  const api = await fakeApi(() => sleep(200, { greetings: [], total: 0 }));
  const www = await start(api);
  const silent = net.connect(new URL(www.url).port, "127.0.0.1");
  await once(silent, "connect");
  const inFlight = ask(www.url);
  await sleep(50);
  await www.drain({ least: 0, quiet: 0, most: 0 });
  assert.equal((await inFlight).status, 200);
});
