// The front page and the shelves.

import { picturePath, scenePath } from "../garments/index.js";
import { html } from "../html.js";
import { grid, recommendations } from "./cards.js";
import { icon, page } from "./layout.js";

const SHOWN = 8;

const promises = html`
    <ul class="promises">
      <li>${icon("truck")}<div><b>Free from € 100</b><span>With you in two to four days</span></div></li>
      <li>${icon("needle")}<div><b>Mended for life</b><span>What we made, we repair</span></div></li>
      <li>${icon("loop")}<div><b>30 days to think</b><span>Send it back, no questions</span></div></li>
    </ul>`;

// Three pieces for the picture on top: something to wear over, something under, something to spin in.
export function heroPieces(products) {
  const of = (category) => products.find((product) => product.category === category);
  return [of("dresses"), of("outerwear"), of("knitwear")].filter(Boolean);
}

export function homePage({ products, picks, frame }) {
  const pieces = heroPieces(products);
  return page({
    frame,
    kind: "home",
    body: html`
    <section class="hero">
      <div class="words">
        <p class="eyebrow">The new collection</p>
        <h1>Clothes for years, <em>not seasons.</em></h1>
        <p class="lead">Heavy knits, honest cotton and coats with a second life, made by people we know by name.</p>
        <p class="actions"><a class="button" href="/shop?order=new">See what is new</a><a class="quiet" href="/shop?category=knitwear">All knitwear</a></p>
      </div>
      ${pieces.length === 3 && html`<img class="scene" src="${scenePath(pieces)}" alt="${pieces.map(({ name }) => name).join(", ")}" width="990" height="560">`}
    </section>${promises}
    <section aria-labelledby="new">
      <header class="heading"><h2 id="new">Just in</h2><a href="/shop">All ${products.length} pieces</a></header>
      ${grid(products.slice(0, SHOWN))}
    </section>
    ${recommendations("Picked for you", picks)}
    <section aria-labelledby="departments">
      <h2 id="departments">Departments</h2>
      <ul class="departments">${frame.categories.map(({ slug, name, count }) => {
        const example = products.filter(({ category }) => category === slug).at(-1);
        return html`
        <li><a href="/shop?category=${slug}">${example && html`<img src="${picturePath(example)}" alt="" width="400" height="500" loading="lazy">`}<span><b>${name}</b>${count} pieces</span></a></li>`;
      })}
      </ul>
    </section>`,
  });
}

const ORDERS = { new: "Newest", price: "Price, low to high", "-price": "Price, high to low" };

export function shelfPage({ products, query, category, order, frame }) {
  const name = frame.categories.find(({ slug }) => slug === category)?.name;
  const title = query ? `“${query}”` : category === "preview" ? "Next season, for our people" : name ?? "Everything";
  const address = (change) => {
    const parameters = { q: query, category: category === "preview" ? "" : category, preview: category === "preview" ? "true" : "", order, ...change };
    return `/shop?${new URLSearchParams(Object.entries(parameters).filter(([, value]) => value))}`;
  };
  return page({
    title,
    frame: { ...frame, query, category },
    kind: "shelf",
    body: html`
    <section aria-labelledby="title">
      <header class="heading shelf-heading">
        <div><h1 id="title">${title}</h1><p>${products.length === 1 ? "1 piece" : `${products.length} pieces`}</p></div>
        <p class="orders">${Object.entries(ORDERS).map(([value, label]) => html`<a href="${address({ order: value })}"${value === order && html` aria-current="true"`}>${label}</a>`)}</p>
      </header>
      ${products.length > 0
        ? grid(products)
        : html`<p class="empty">Nothing here by that name. Try <a href="/shop?q=wool">wool</a>, <a href="/shop?q=stripe">stripes</a> or <a href="/shop">everything</a>.</p>`}
    </section>`,
  });
}
