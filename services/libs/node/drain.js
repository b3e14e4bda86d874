// A server that leaves without dropping a request.

import { setTimeout as sleep } from "node:timers/promises";

// It takes a moment until everybody who sends requests here has heard that this
// process leaves. Meanwhile it serves on, and each answer says `connection: close`.
const DRAIN = { least: 3000, quiet: 1000, most: 6000 };
const AT_ONCE = { least: 0, quiet: 0, most: 0 };

export function drainable(server, { patience = 5000 } = {}) {
  const sockets = new Set();
  let leaving;
  let lastRequest = Date.now();

  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  server.prependListener("request", (request, response) => {
    // Probes go on to the end; they are no reason to stay.
    if (request.url !== "/healthz") lastRequest = Date.now();
    // The headers are written later, and the drain may begin in between.
    const writeHead = response.writeHead;
    response.writeHead = (...args) => {
      if (leaving) response.setHeader("connection", "close");
      return writeHead.apply(response, args);
    };
  });

  function close() {
    return new Promise((resolve) => {
      // Ends idle connections as well; those in use end with their answer.
      server.close(resolve);
      // Browsers open connections in advance; those would be waited for.
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      setTimeout(() => server.closeAllConnections(), patience).unref();
    });
  }

  async function go({ least, quiet, most }) {
    const started = Date.now();
    for (;;) {
      const now = Date.now();
      const calm = now - started >= least && now - lastRequest >= quiet;
      if (calm || now - started >= most) return close();
      await sleep(50);
    }
  }

  const drain = (how = DRAIN) => (leaving ??= go(how));

  return {
    drain,

    // SIGTERM drains, SIGINT skips the drain; what is in flight is finished either way.
    drainOn: (process) =>
      new Promise((resolve) => {
        process.on("SIGTERM", () => drain().then(resolve));
        process.on("SIGINT", () => drain(AT_ONCE).then(resolve));
      }),
  };
}
