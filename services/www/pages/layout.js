// What every page has around it: head, header, footer.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { html, trusted } from "../html.js";

export const STYLE = readFileSync(new URL("../style.css", import.meta.url), "utf8");
// The address changes with the content, so that browsers may keep it.
export const STYLE_PATH = `/style.css?v=${createHash("sha256").update(STYLE).digest("hex").slice(0, 10)}`;

// Nothing may run, and everything comes from here.
export const CONTENT_SECURITY_POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const MARK =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" aria-hidden="true"><path d="M16 29V12M16 20C9 19.500 6 15 6 9.500 12 10 15.500 14 16 20ZM16 15C22 14.500 26 10.500 26 4 19.500 4.500 16.500 8.500 16 15Z" fill="none" stroke="#2f6a53" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>';

const ICONS = {
  search: '<path d="m20 20-4.200-4.200M18 11a7 7 0 1 1-14 0 7 7 0 0 1 14 0Z"/>',
  bag: '<path d="M5 8h14l1 12.500H4L5 8ZM8.500 10.500V7a3.500 3.500 0 0 1 7 0v3.500"/>',
  truck: '<path d="M2 6h12v11H2zM14 10h4.500L22 13.500V17h-8zM6.500 20a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM17.500 20a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z"/>',
  needle: '<path d="M20 4 9 15M20 4c1 1 .5 2.500-.5 3.500L9.500 17.500 5 20l2-5L17 4.500C18 3.500 19.500 3 20 4ZM4 20c-2-4 2-6 1-10s3-6 6-5"/>',
  loop: '<path d="M4 12a8 8 0 0 1 14-5.200L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.200L4 15M4 20v-5h5"/>',
  lock: '<path d="M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3"/>',
  check: '<path d="m5 12.500 4.500 4.500L19 7.500"/>',
};

export const icon = (name) =>
  trusted(`<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${ICONS[name]}</svg>`);

export function page({ title, frame, body, kind = "" }) {
  const { categories = [], count, flags = {}, query = "", category, servedBy = [], took } = frame;
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="description" content="Knitwear, shirts, coats and trousers that are made to be worn for years.">
  <title>${title ? `${title} · Alder & Loom` : "Alder & Loom · Clothes for years, not seasons"}</title>
  <link rel="icon" href="data:image/svg+xml,${encodeURIComponent(MARK)}">
  <link rel="stylesheet" href="${STYLE_PATH}">
</head>
<body class="${kind}">
  <a class="skip" href="#main">To the content</a>
  <p class="announcement">Free shipping from € 100 <span aria-hidden="true">·</span> 30 days to change your mind</p>
  <header class="top">
    <a class="wordmark" href="/">${trusted(MARK)}<span>Alder <i>&amp;</i> Loom</span></a>
    <form class="search" action="/shop" role="search">
      <label for="q" class="hidden">Search</label>
      <input id="q" name="q" type="search" value="${query}" placeholder="Search wool, stripes, blue …" maxlength="80">
      <button aria-label="Search">${icon("search")}</button>
    </form>
    <a class="bag" href="/cart" aria-label="Your cart${count ? `, ${count} ${count === 1 ? "piece" : "pieces"}` : ""}">${icon("bag")}<span class="word">Cart</span>${count > 0 && html`<b>${count}</b>`}</a>
    <nav aria-label="Departments">
      <a href="/shop"${category === "" && html` aria-current="page"`}>Everything</a>
      ${categories.map(({ slug, name }) => html`<a href="/shop?category=${slug}"${slug === category && html` aria-current="page"`}>${name}</a>`)}
      ${flags.preview && html`<a class="preview" href="/shop?preview=true"${category === "preview" && html` aria-current="page"`}>Preview</a>`}
    </nav>
  </header>
  <main id="main">${body}
  </main>
  <footer>
    <div class="columns">
      <div><p class="wordmark small"><span>Alder <i>&amp;</i> Loom</span></p><p>Clothes for years, not seasons. We knit, weave and sew with people whom we know by name, and mend what we made.</p></div>
      <div><h2>Shop</h2><ul>${categories.slice(0, 4).map(({ slug, name }) => html`<li><a href="/shop?category=${slug}">${name}</a></li>`)}<li><a href="/shop?order=new">New in</a></li></ul></div>
      <div><h2>Good to know</h2><ul><li>Shipping: € 4.90, free from € 100</li><li>30 days to return</li><li>Repairs for life</li><li><a href="/staff">For our people</a></li></ul></div>
    </div>
    <p class="trail">Served by ${servedBy.map(hop)}${took !== undefined && html` in ${took} ms`}</p>
  </footer>
</body>
</html>
`.toString();
}

// "catalog-3f9c2a81d0" is version 3f9c2a81d0 of catalog.
function hop(served) {
  const [, name, version] = /^(.*)-([0-9a-z]+)$/.exec(served) ?? [];
  return html`<span>${name ?? served}${version && version !== "local" && html` <code>${version}</code>`}</span>`;
}

export function money(cents) {
  return cents % 100 === 0 ? `€ ${cents / 100}` : `€ ${(cents / 100).toFixed(2)}`;
}
