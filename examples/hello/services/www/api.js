// The client of the api service.

import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const ATTEMPTS = 3;
const MAX_ANSWER = 1024 * 1024;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // what www answers: 502 or 504
  }
}

export function createApi({ url, timeout = 5000 }) {
  // An idle connection is given up after 2 seconds. A leaving api goes on
  // serving for at least 3 and says `connection: close` in each answer, so when
  // it closes its door no connection is left on which a request could be lost.
  const agent = new http.Agent({
    keepAlive: true,
    timeout: 2000,
    scheduling: "fifo",
    maxFreeSockets: 64,
  });

  function once(method, path, payload, signal) {
    return new Promise((resolve, reject) => {
      const headers = { accept: "application/json" };
      if (payload !== undefined) {
        headers["content-type"] = "application/json";
        headers["content-length"] = Buffer.byteLength(payload);
      }
      const options = { method, agent, signal, headers };
      const request = http.request(new URL(path, url), options, (response) => {
        const chunks = [];
        let size = 0;
        response.on("error", reject);
        response.on("data", (chunk) => {
          size += chunk.length;
          if (size > MAX_ANSWER) response.destroy(new Error("the answer is too large"));
          chunks.push(chunk);
        });
        response.on("end", () => {
          resolve({
            status: response.statusCode,
            servedBy: response.headers["x-served-by"] ?? "",
            text: Buffer.concat(chunks).toString("utf8"),
          });
        });
      });
      request.on("error", reject);
      request.end(payload);
    });
  }

  // Every request is safe to repeat: a greeting carries its id, so a broken
  // connection is no reason to bother anybody. Time is the only limit.
  async function call(method, path, data) {
    const payload = data === undefined ? undefined : JSON.stringify(data);
    const signal = AbortSignal.timeout(timeout);
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await once(method, path, payload, signal);
        return { ...answer, data: parse(answer) };
      } catch (error) {
        if (error instanceof ApiError) throw error;
        if (signal.aborted) {
          throw new ApiError(504, `The api did not answer within ${timeout / 1000} seconds.`);
        }
        if (attempt === ATTEMPTS) {
          throw new ApiError(502, `The api cannot be reached (${error.code ?? error.message}).`);
        }
        await sleep(50 * attempt);
      }
    }
  }

  return {
    newest: () => call("GET", "/greetings"),
    add: (greeting) => call("POST", "/greetings", greeting),
    close: () => agent.destroy(),
  };
}

function parse({ status, text }) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(502, `The api answered ${status} with something that is not JSON.`);
  }
}
