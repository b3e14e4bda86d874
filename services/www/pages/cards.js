// Products in a row or a grid.

import { picturePath } from "../garments/index.js";
import { html } from "../html.js";
import { money } from "./layout.js";

const NEW_FOR = 20 * 24 * 3600 * 1000;

export function badge({ released_at }, now = Date.now()) {
  const age = now - Date.parse(released_at);
  if (age < 0) return "Preview";
  return age < NEW_FOR ? "New" : undefined;
}

export function card(product, { reason, eager = false } = {}) {
  const label = badge(product);
  return html`
      <li class="card">
        <a href="/products/${product.slug}">
          <div class="frame"><img src="${picturePath(product)}" alt="${product.name}, ${product.shade}" width="400" height="500"${!eager && html` loading="lazy"`}>${label && html`<span class="badge">${label}</span>`}</div>
          <h3>${product.name}</h3>
          <p class="about"><span>${product.shade}</span><span class="price">${money(product.price_cents)}</span></p>
          ${reason && html`<p class="reason">${reason}</p>`}
        </a>
      </li>`;
}

export const grid = (products) => html`<ul class="grid">${products.map((product, i) => card(product, { eager: i < 4 }))}
    </ul>`;

// Nothing at all when there is nothing to recommend.
export function recommendations(title, entries) {
  if (entries.length === 0) return undefined;
  return html`
    <section class="recommendations" aria-labelledby="recommended">
      <h2 id="recommended">${title}</h2>
      <ul class="grid four">${entries.map(({ product, reason }) => card(product, { reason }))}
      </ul>
    </section>`;
}
