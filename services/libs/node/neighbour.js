// Questions to other services of the shop, with a limit on how long an answer may take.

import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const ATTEMPTS = 3;
const MAX_ANSWER = 4 * 1024 * 1024;

// There is no answer, or none that makes sense.
export class Away extends Error {
  constructor(name, why) {
    super(`${name} ${why}`);
    this.neighbour = name;
  }
}

// An idle connection is given up after 2 seconds, long before any server closes it.
const agent = new http.Agent({ keepAlive: true, timeout: 2000, scheduling: "fifo", maxFreeSockets: 64 });

// A service that is asked over HTTP and answers JSON. Without a URL it is simply away.
// Whatever is sent must be safe to send again: a broken connection is tried once more.
export function neighbour(name, url, { timeout }) {
  async function ask(method, path, { data, headers = {}, visit } = {}) {
    if (!url) throw new Away(name, "is not here");
    const payload = data === undefined ? undefined : JSON.stringify(data);
    const signal = AbortSignal.timeout(timeout);
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await once(new URL(path, url), { method, agent, signal, headers: withBody(headers, payload) }, payload);
        if (answer.servedBy) visit?.servedBy.add(answer.servedBy);
        if (answer.status >= 500) throw new Away(name, `answered ${answer.status}`);
        return { status: answer.status, data: parse(name, answer.text) };
      } catch (error) {
        if (error instanceof Away) throw error;
        if (signal.aborted) throw new Away(name, `did not answer within ${timeout} ms`);
        if (attempt === ATTEMPTS) throw new Away(name, `cannot be reached (${error.code ?? error.message})`);
        await sleep(50 * attempt);
      }
    }
  }
  return {
    name,
    get: (path, options) => ask("GET", path, options),
    post: (path, data, options) => ask("POST", path, { ...options, data }),
    put: (path, data, options) => ask("PUT", path, { ...options, data }),
    delete: (path, options) => ask("DELETE", path, options),
  };
}

function withBody(headers, payload) {
  if (payload === undefined) return { accept: "application/json", ...headers };
  const about = { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
  return { accept: "application/json", ...about, ...headers };
}

function parse(name, text) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Away(name, "answered with something that is not JSON");
  }
}

function once(url, options, payload) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, options, (response) => {
      const chunks = [];
      let size = 0;
      response.on("error", reject);
      response.on("data", (chunk) => {
        size += chunk.length;
        if (size > MAX_ANSWER) response.destroy(new Error("the answer is too large"));
        chunks.push(chunk);
      });
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode, servedBy: response.headers["x-served-by"], text });
      });
    });
    request.on("error", reject);
    request.end(payload);
  });
}
