// What the pages need of the other services. Some they cannot do without; the rest makes them better when it is there.

import { randomUUID } from "node:crypto";

import * as log from "../libs/node/log.js";
import { neighbour } from "../libs/node/neighbour.js";

export function neighboursOf(env) {
  return {
    catalog: neighbour("catalog", env.CATALOG_URL, { timeout: 4000 }),
    cart: neighbour("cart", env.CART_URL, { timeout: 3000 }),
    order: neighbour("order", env.ORDER_URL, { timeout: 20_000 }),
    recommender: neighbour("recommender", env.RECOMMENDER_URL, { timeout: 1200 }),
    flags: neighbour("flags", env.FLAGS_URL, { timeout: 400 }),
    events: neighbour("events", env.EVENTS_URL, { timeout: 5000 }),
  };
}

// One visit's view of the neighbours. Whatever they say of themselves ends up in the visit.
export function createShop({ catalog, cart, order, recommender, flags, events }, visit) {
  const { visitor } = visit;

  // An answer that the page is nicer with. Without it there is the fallback, and a line in the log.
  async function welcome(answer, fallback) {
    try {
      const { status, data } = await answer;
      if (status === 200) return data;
      log.warn("an answer that does not fit", { status });
    } catch (error) {
      log.warn("goes without", { neighbour: error.neighbour, cause: error.message });
    }
    return fallback;
  }

  const shop = {
    // { flag: value } for this visitor; none when flags is away.
    flags: async () =>
      (await welcome(flags.get(`/flags?visitor=${visitor.id}&employee=${visitor.employee}`, { visit }), { flags: {} })).flags,

    products: async (query = {}) => (await catalog.get(`/products?${new URLSearchParams(query)}`, { visit })).data.products ?? [],

    // Undefined when we do not have it.
    async product(slug) {
      const { status, data } = await catalog.get(`/products/${encodeURIComponent(slug)}`, { visit });
      return status === 200 ? data : undefined;
    },

    categories: async () => (await welcome(catalog.get("/categories", { visit }), { categories: [] })).categories,

    async recommendations(slugs, count = 4) {
      const query = new URLSearchParams({ for: slugs.join(","), visitor: visitor.id, count });
      return (await welcome(recommender.get(`/recommendations?${query}`, { visit }), { recommendations: [] })).recommendations;
    },

    // How much is in the cart; undefined when nobody knows.
    count: async () => (await welcome(cart.get(`/carts/${visitor.id}`, { visit }), {})).count,

    cart: async () => (await cart.get(`/carts/${visitor.id}`, { visit })).data,
    add: (item) => cart.post(`/carts/${visitor.id}/items`, { ...item, request: randomUUID() }, { visit }),
    set: (item) => cart.put(`/carts/${visitor.id}/items`, item, { visit }),
    empty: () => welcome(cart.delete(`/carts/${visitor.id}`, { visit })),

    quote: (items) => order.post("/quotes", { items }, { visit }),
    buy: (request) => order.post("/orders", { ...request, visitor: visitor.id }, { visit }),

    async order(id) {
      const { status, data } = await order.get(`/orders/${encodeURIComponent(id)}`, { visit });
      return status === 200 && data.visitor === visitor.id ? data : undefined;
    },

    // Nobody waits for it.
    tell(type, data) {
      const event = { id: randomUUID(), type, time: new Date().toISOString(), visitor: visitor.id, data };
      events.post("/events", event).catch((error) => log.warn("not told", { type, cause: error.message }));
    },
  };
  return shop;
}
