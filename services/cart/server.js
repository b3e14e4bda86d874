// The carts of the shop: GET, DELETE /carts/:id and POST, PUT /carts/:id/items.

import { pathToFileURL } from "node:url";

import { createClient } from "@redis/client";

import * as log from "../libs/node/log.js";
import { Refused, createServer, run } from "../libs/node/server.js";
import { MOST_LINES, MOST_OF_ONE, createCarts } from "./carts.js";

const ID = /^[\w-]{8,80}$/;

export function createApp(carts) {
  const available = (call) => async (visit) => {
    if (visit.params.id && !ID.test(visit.params.id)) throw new Refused(404, "There is no such cart.");
    try {
      return await call(visit);
    } catch (error) {
      if (error instanceof Refused) throw error;
      log.warn("redis does not answer", { cause: error.message });
      throw new Refused(503, "The carts cannot be reached.", { headers: { "retry-after": "1" } });
    }
  };

  return createServer({
    healthy: available(() => carts.check()),
    routes: {
      "GET /carts/:id": available(async ({ params }) => ({ body: await carts.read(params.id) })),

      "POST /carts/:id/items": available(async (visit) => {
        const data = await visit.json();
        const item = parse(data, 1);
        if (!ID.test(data.request ?? "")) throw new Refused(422, "The request needs an id of its own.");
        if (!(await carts.add(visit.params.id, item, data.request))) {
          throw new Refused(422, `A cart holds ${MOST_LINES} different things.`);
        }
        return { status: 201, body: await carts.read(visit.params.id) };
      }),

      "PUT /carts/:id/items": available(async (visit) => {
        await carts.set(visit.params.id, parse(await visit.json(), 0));
        return { body: await carts.read(visit.params.id) };
      }),

      "DELETE /carts/:id": available(async ({ params }) => {
        await carts.empty(params.id);
        return { body: { items: [], count: 0 } };
      }),
    },
  });
}

export function parse(data, least) {
  const { product, size, quantity } = data ?? {};
  if (!/^[a-z0-9-]{1,60}$/.test(product ?? "")) throw new Refused(422, "Which product?");
  if (!/^[\w .-]{1,20}$/.test(size ?? "")) throw new Refused(422, "Which size?");
  if (!Number.isInteger(quantity) || quantity < least || quantity > MOST_OF_ONE) {
    throw new Refused(422, `The quantity must be ${least} to ${MOST_OF_ONE}.`);
  }
  return { product, size, quantity };
}

async function main() {
  // A command fails at once while there is no connection; connecting is tried for ever.
  const redis = createClient({
    url: process.env.CARTS_URL,
    disableOfflineQueue: true,
    commandOptions: { timeout: 2000 },
    socket: { connectTimeout: 2000, reconnectStrategy: (tries) => Math.min(tries * 50, 1000) },
  });
  redis.on("error", (error) => log.warn("redis", { cause: error.message || error.code }));
  redis.connect().catch(() => {}); // its errors are told above
  await run(createApp(createCarts(redis)), () => redis.destroy());
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
