// An HTTP server as every Node service of the shop has it: routes, health, errors as answers, a log line a request.

import http from "node:http";

import { drainable } from "./drain.js";
import * as log from "./log.js";

const MAX_BODY = 64 * 1024;
const MAX_DISCARD = 1024 * 1024;

// An answer other than success, with its reason.
export class Refused extends Error {
  constructor(status, message, { headers = {}, ...details } = {}) {
    super(message);
    Object.assign(this, { status, headers, details });
  }
}

// What a handler needs of a request.
class Visit {
  constructor(request, url, params) {
    Object.assign(this, { request, url, params, query: url.searchParams, servedBy: new Set() });
  }

  async json() {
    const text = await readBody(this.request);
    try {
      return JSON.parse(text);
    } catch {
      throw new Refused(400, "The body is not valid JSON.");
    }
  }

  async form() {
    const type = (this.request.headers["content-type"] ?? "").split(";", 1)[0].trim().toLowerCase();
    const text = await readBody(this.request);
    if (type !== "application/x-www-form-urlencoded") throw new Refused(415, "Send a form.");
    return Object.fromEntries(new URLSearchParams(text));
  }

  get cookies() {
    const pairs = (this.request.headers.cookie ?? "").split(/;\s*/).map((pair) => pair.split("=", 2));
    return Object.fromEntries(pairs.filter(([name, value]) => name && value !== undefined));
  }
}

// `routes`: from "GET /carts/:id" to a function of a visit that gives { status, body, headers }.
// A body that is no text is sent as JSON. `failure` makes the answer of an error.
export function createServer({ routes, healthy = () => {}, failure = asJson }) {
  const table = Object.entries({ ...routes, "GET /healthz": async (visit) => (await healthy(visit), { body: { status: "ok" } }) })
    .map(([route, handler]) => ({ ...compile(route), handler }));

  const server = http.createServer(async (request, response) => {
    const began = performance.now();
    let visit;
    let answer;
    try {
      let url;
      try {
        url = new URL(request.url, "http://here");
      } catch {
        throw new Refused(400, "That is no address.");
      }
      visit = new Visit(request, url, {});
      answer = await route(visit);
    } catch (error) {
      if (request.errored || response.destroyed) return response.destroy();
      if (!(error instanceof Refused)) {
        log.error(`${request.method} ${request.url}`, { error: error.stack ?? String(error) });
        error = new Refused(500, "Something went wrong here.");
      }
      answer = { ...(await failure(error, visit)), status: error.status };
      answer.headers = { ...answer.headers, ...error.headers };
    }
    send(response, answer, visit);
    const path = visit?.url.pathname;
    if (path !== "/healthz") {
      log.info(`${request.method} ${path}`, { status: answer.status ?? 200, ms: Math.round((performance.now() - began) * 10) / 10 });
    }
  });

  async function route(visit) {
    const method = visit.request.method === "HEAD" ? "GET" : visit.request.method;
    const fitting = table.filter(({ pattern }) => pattern.test(visit.url.pathname));
    const chosen = fitting.find((entry) => entry.method === method);
    if (fitting.length === 0) throw new Refused(404, "There is nothing here.");
    if (!chosen) {
      const allow = fitting.map((entry) => entry.method).join(", ");
      throw new Refused(405, `Only ${allow} here.`, { headers: { allow } });
    }
    const { groups } = chosen.pattern.exec(visit.url.pathname);
    visit.params = Object.fromEntries(Object.entries(groups ?? {}).map(([name, value]) => [name, decode(value)]));
    return (await chosen.handler(visit)) ?? { status: 204 };
  }

  // Longer than callers and load balancers keep an idle connection, so that they close first.
  server.keepAliveTimeout = 75_000;
  server.headersTimeout = 80_000;
  return server;
}

function compile(route) {
  const [method, path] = route.split(" ");
  const pattern = path.replace(/[.]/g, "\\.").replace(/:(\w+)/g, "(?<$1>[^/]+)");
  return { method, pattern: new RegExp(`^${pattern}$`) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refused(400, "That is no address.");
  }
}

function asJson(error) {
  return { body: { error: error.message, ...error.details } };
}

function send(response, { status = 200, body = "", headers = {} }, visit) {
  const text = typeof body === "string" ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    "content-type": typeof body === "string" ? "text/html; charset=utf-8" : "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    // Own name first, then what the answers from further down say of themselves.
    "x-served-by": [`${log.NAME}-${log.VERSION}`, ...(visit?.servedBy ?? [])].join(", "),
    ...headers,
  });
  response.end(text);
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  // Read on a while past the limit: closing on unread data could take the answer with it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size <= MAX_BODY) chunks.push(chunk);
    if (size > MAX_DISCARD) break;
  }
  if (size > MAX_BODY) throw new Refused(413, "That is too much at once.", { headers: { connection: "close" } });
  return Buffer.concat(chunks).toString("utf8");
}

// Listens on $PORT until a signal, drains, runs `leave`, and ends the process.
export async function run(server, leave = () => {}) {
  const port = Number(process.env.PORT || 8080);
  const { drainOn } = drainable(server);
  server.listen({ port, host: "0.0.0.0", backlog: 1024 }, () => log.info("listens", { port }));
  await drainOn(process);
  await leave();
  log.info("has answered everything and leaves");
  process.exit(0);
}
