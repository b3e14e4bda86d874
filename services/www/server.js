// The storefront: pages made of what the other services say.

import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";

import * as log from "../libs/node/log.js";
import { Away } from "../libs/node/neighbour.js";
import { Refused, createServer, run } from "../libs/node/server.js";
import { picture, scene } from "./garments/index.js";
import { cartPage } from "./pages/cart.js";
import { checkoutPage, orderPage } from "./pages/checkout.js";
import { homePage, shelfPage } from "./pages/home.js";
import { CONTENT_SECURITY_POLICY, STYLE } from "./pages/layout.js";
import { errorPage, staffPage } from "./pages/others.js";
import { productPage } from "./pages/product.js";
import { createShop, neighboursOf } from "./shop.js";
import { badgeCookie, isCode, visitorOf } from "./visitor.js";

const KEPT = { "cache-control": "public, max-age=86400" };
const SECURE = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
};

export function createApp({ neighbours, staffCode }) {
  // A page for a visitor: what goes around it is asked for while the page is made.
  const page = (make) => async (visit) => {
    enter(visit);
    const [frame, answer] = await Promise.all([frameOf(visit), make(visit).catch(translated)]);
    if (answer.location) return to(visit, answer.location);
    return shown(visit, answer.status, answer.render(finished(visit, frame)));
  };

  // A form: it does something and sends the visitor on, or shows its page again.
  const form = (act) =>
    page(async (visit) => {
      visit.fields = await visit.form();
      return act(visit);
    });

  function enter(visit) {
    visit.began = performance.now();
    visit.visitor = visitorOf(visit.cookies, staffCode);
    visit.shop = createShop(neighbours, visit);
  }

  async function frameOf({ shop }) {
    const [categories, count, flags] = await Promise.all([shop.categories(), shop.count(), shop.flags()]);
    return { categories, count, flags };
  }

  // The frame as it is when everything has been asked.
  function finished(visit, frame) {
    const names = [`${log.NAME}-${log.VERSION}`, ...visit.servedBy].flatMap((value) => value.split(/\s*,\s*/));
    return { ...frame, servedBy: [...new Set(names)], took: Math.round(performance.now() - visit.began) };
  }

  const shown = ({ visitor }, status, body) => ({ status, body, headers: { ...SECURE, ...setting(visitor) } });
  const to = ({ visitor }, location) => ({ status: 303, body: "", headers: { ...SECURE, ...setting(visitor), location } });
  const setting = ({ cookies }) => (cookies.length > 0 ? { "set-cookie": cookies } : {});

  async function failure(error, visit) {
    const frame = visit?.shop ? finished(visit, await frameOf(visit)) : { categories: [], flags: {} };
    return { body: errorPage({ error, frame }), headers: SECURE };
  }

  const svg = (text) => {
    if (!text) throw new Refused(404, "There is no such picture.");
    return { body: text, headers: { ...KEPT, "content-type": "image/svg+xml", "content-security-policy": "default-src 'none'" } };
  };

  return createServer({
    failure,
    routes: {
      "GET /style.css": async () => ({ body: STYLE, headers: { ...KEPT, "content-type": "text/css; charset=utf-8" } }),
      "GET /pictures/:name.svg": async ({ params }) => svg(picture(params.name)),
      "GET /pictures/scene/:one/:two/:three.svg": async ({ params }) => svg(scene([params.one, params.two, params.three])),

      "GET /": page(async ({ shop }) => {
        const [products, picks] = await Promise.all([shop.products(), shop.recommendations([])]);
        return { render: (frame) => homePage({ products, picks, frame }) };
      }),

      "GET /shop": page(async ({ shop, query }) => {
        const [text, order] = [(query.get("q") ?? "").trim().slice(0, 80), query.get("order") ?? "new"];
        let category = query.get("category") ?? "";
        const preview = query.get("preview") === "true" && (await shop.flags()).preview === true;
        let products = await shop.products({ q: text, category, order, ...(preview && { preview: "true" }) });
        if (preview) {
          category = "preview";
          products = products.filter(({ released_at }) => Date.parse(released_at) > Date.now());
        }
        return { render: (frame) => shelfPage({ products, query: text, category, order, frame }) };
      }),

      "GET /products/:slug": page(async ({ shop, params, query }) => {
        const [product, picks] = await Promise.all([shop.product(params.slug), shop.recommendations([params.slug])]);
        if (!product) throw new Refused(404, "We do not have that. Perhaps something else?");
        shop.tell("product.viewed", { product: product.slug });
        const problem = query.get("size") === "none" ? "Please choose a size." : undefined;
        return { render: (frame) => productPage({ product, picks, problem, frame }) };
      }),

      "GET /cart": page((visit) => showCart(visit)),

      "POST /cart/items": form(async ({ shop, fields: { product, size } }) => {
        if (!size) return { location: `/products/${encodeURIComponent(product ?? "")}?size=none` };
        const known = await shop.product(product ?? "");
        if (!known?.sizes.includes(size)) throw new Refused(422, "We do not have that in this size.");
        const { status, data } = await shop.add({ product, size, quantity: 1 });
        if (status !== 201) throw new Refused(422, data?.error ?? "That does not fit into the cart.");
        shop.tell("cart.added", { product, size });
        return { location: "/cart" };
      }),

      "POST /cart/update": form(async (visit) => {
        const { product, size, quantity } = visit.fields;
        const { status, data } = await visit.shop.set({ product, size, quantity: Number(quantity) });
        if (status !== 200) return showCart(visit, data?.error, 422);
        return { location: "/cart" };
      }),

      "GET /checkout": page((visit) => showCheckout(visit)),

      "POST /checkout": form(async (visit) => {
        const { id, number, expiry, gift_note, name, email, street, postcode, city } = visit.fields;
        const customer = { name, email, street, postcode, city };
        const { items } = await visit.shop.cart();
        const { status, data } = await visit.shop.buy({ id, items, customer, gift_note, card: { number, expiry } });
        if (status !== 201) {
          const field = data?.field === "card" ? "number" : data?.field;
          return showCheckout(visit, { error: data?.error ?? "That did not work.", field }, status === 402 ? 402 : 422);
        }
        await visit.shop.empty();
        return { location: `/orders/${data.id}` };
      }),

      "GET /orders/:id": page(async ({ shop, params }) => {
        const order = await shop.order(params.id);
        if (!order) throw new Refused(404, "There is no such order, or it is somebody else's.");
        const slugs = order.lines.map(({ product }) => product);
        const [products, picks] = await Promise.all([shop.products({ slugs: slugs.join(",") }), shop.recommendations(slugs)]);
        const pictures = Object.fromEntries(products.map((product) => [product.slug, product]));
        return { render: (frame) => orderPage({ order, pictures, picks, frame }) };
      }),

      "GET /staff": page(async () => ({ render: (frame) => staffPage({ frame }) })),

      "POST /staff": form(async ({ visitor, fields }) => {
        if (!isCode(fields.code ?? "", staffCode)) {
          return { status: 403, render: (frame) => staffPage({ frame, problem: "That is not the word." }) };
        }
        visitor.cookies.push(badgeCookie(visitor.id, staffCode));
        return { location: "/staff" };
      }),
    },
  });
}

async function showCart({ shop }, problem, status) {
  const { items } = await shop.cart();
  const slugs = [...new Set(items.map(({ product }) => product))];
  const [products, quoted, picks] = await Promise.all([
    slugs.length > 0 ? shop.products({ slugs: slugs.join(",") }) : [],
    items.length > 0 ? shop.quote(items) : undefined,
    shop.recommendations(slugs),
  ]);
  const bySlug = Object.fromEntries(products.map((product) => [product.slug, product]));
  const lines = items.map((item) => ({ ...item, slug: item.product, product: bySlug[item.product] }));
  const quote = quoted?.status === 200 ? quoted.data : undefined;
  const wrong = problem ?? (quoted && !quote ? quoted.data?.error : undefined);
  return { status, render: (frame) => cartPage({ lines, quote, picks, problem: wrong, frame }) };
}

// Each time the form is shown it has an id of its own: sending it twice buys once, filling it in anew buys anew.
async function showCheckout({ shop, fields }, problem, status) {
  const { items } = await shop.cart();
  if (items.length === 0) return { location: "/cart" };
  const { status: quoted, data: quote } = await shop.quote(items);
  if (quoted !== 200) return { location: "/cart" };
  const draft = { ...fields, number: undefined };
  return { status, render: (frame) => checkoutPage({ id: randomUUID(), quote, draft, problem, frame }) };
}

// Somebody whom the page needs is away: the visitor hears that it is for now only.
function translated(error) {
  if (!(error instanceof Away)) throw error;
  log.warn("cannot do without", { neighbour: error.neighbour, cause: error.message });
  throw new Refused(503, "Somebody whom we need for this page is away for a moment. Please try again.", { headers: { "retry-after": "2" } });
}

async function main() {
  await run(createApp({ neighbours: neighboursOf(process.env), staffCode: process.env.STAFF_CODE }));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
