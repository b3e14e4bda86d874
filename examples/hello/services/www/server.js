// The page of the wall: GET / shows it, POST / adds a greeting.

import { randomUUID } from "node:crypto";
import http from "node:http";
import { pathToFileURL } from "node:url";

import { ApiError, createApi } from "./api.js";
import { drainable } from "./drain.js";
import { CONTENT_SECURITY_POLICY, errorPage, wallPage } from "./page.js";

const MAX_BODY = 8 * 1024;
const MAX_DISCARD = 1024 * 1024;

class Refused extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export function createServer({ api, nodeId }) {
  const self = `www-${nodeId}`;

  const server = http.createServer(async (request, response) => {
    const visit = { self, downstream: new Set(), apiMs: undefined, database: undefined };
    const send = (status, body, headers = {}) => {
      response.writeHead(status, {
        "content-type": "text/html; charset=utf-8",
        "content-length": Buffer.byteLength(body),
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-served-by": servedBy(visit),
        ...headers,
      });
      response.end(body);
    };
    try {
      await route(request, send, visit);
    } catch (error) {
      const clientLeft = request.errored || response.destroyed;
      if (clientLeft || response.headersSent) return response.destroy();
      if (!(error instanceof Refused || error instanceof ApiError)) {
        console.error(`${request.method} ${request.url}:`, error);
        error = new Refused(500, "Something went wrong here.");
      }
      send(error.status, errorPage({ error, visit }), error.headers);
    }
  });

  async function route(request, send, visit) {
    const path = request.url.split("?", 1)[0];
    const method = request.method === "HEAD" ? "GET" : request.method;
    if (path === "/healthz" && method === "GET") {
      return send(200, "ok\n", { "content-type": "text/plain" });
    }
    if (path !== "/") throw new Refused(404, "There is nothing here.");
    if (method === "GET") {
      const wall = await ask(visit, api.newest);
      return send(200, wallPage({ wall, visit, draft: { id: randomUUID() } }));
    }
    if (method === "POST") {
      const draft = await readForm(request);
      const { status, data } = await ask(visit, () => api.add(draft), [200, 201, 422]);
      // Going to the page with a GET keeps a reload from sending the form again.
      if (status !== 422) return send(303, "", { location: "/" });
      const wall = await ask(visit, api.newest);
      return send(422, wallPage({ wall, visit, draft, problem: data }));
    }
    throw new Refused(405, "Only GET and POST here.", { allow: "GET, HEAD, POST" });
  }

  async function ask(visit, call, expected = [200]) {
    const started = performance.now();
    const answer = await call();
    visit.apiMs = performance.now() - started;
    if (answer.servedBy) visit.downstream.add(answer.servedBy);
    if (!expected.includes(answer.status)) {
      const reason = answer.data?.error ?? "no reason given";
      throw new ApiError(502, `The api answered ${answer.status}: ${reason}`);
    }
    visit.database = answer.data.database ?? visit.database;
    return expected.length === 1 ? answer.data : answer;
  }

  // What is not HTTP at all never becomes a request, but gets an answer as well.
  server.on("clientError", (error, socket) => {
    if (!socket.writable || error.code === "ECONNRESET") return socket.destroy();
    const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout"
      : "400 Bad Request";
    socket.end(
      `HTTP/1.1 ${status}\r\nx-served-by: ${self}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
    );
  });

  // Longer than the idle time-outs of common load balancers, so that they close first.
  server.keepAliveTimeout = 75_000;
  server.headersTimeout = 80_000;
  return server;
}

// Own name first, then what the answers from further down say of themselves.
function servedBy({ self, downstream }) {
  return [self, ...downstream].join(", ");
}

async function readForm(request) {
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0].trim().toLowerCase();
  const body = await readBody(request);
  if (type !== "application/x-www-form-urlencoded") {
    throw new Refused(415, "Send the form as application/x-www-form-urlencoded.");
  }
  const form = new URLSearchParams(body);
  return {
    id: form.get("id") || randomUUID(),
    author: form.get("author") ?? "",
    message: form.get("message") ?? "",
    tint: form.get("tint") ?? "",
  };
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
  if (size > MAX_BODY) {
    throw new Refused(413, `The form is larger than ${MAX_BODY} bytes.`, { connection: "close" });
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function main() {
  const port = Number(process.env.PORT || 8080);
  const nodeId = process.env.NODE_ID || "local";
  const api = createApi({ url: process.env.API_URL ?? "http://127.0.0.1:8000" });
  const server = createServer({ api, nodeId });
  const { drainOn } = drainable(server);
  server.listen({ port, host: "0.0.0.0", backlog: 1024 }, () => {
    console.log(`www-${nodeId} listens on port ${port}`);
  });
  await drainOn(process);
  console.log(`www-${nodeId} has answered everything and leaves`);
  process.exit(0);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
