// One product.

import { picturePath } from "../garments/index.js";
import { html } from "../html.js";
import { badge, recommendations } from "./cards.js";
import { icon, money, page } from "./layout.js";

export function productPage({ product, picks, problem, frame }) {
  const { slug, name, category, category_name, shade, colour, material, description, price_cents, sizes } = product;
  const label = badge(product);
  const free = price_cents >= 10000 ? "Ships free." : "Shipping € 4.90, free from € 100.";
  return page({
    title: name,
    frame: { ...frame, category },
    kind: "product",
    body: html`
    <nav class="crumbs" aria-label="Where you are"><a href="/">Home</a><a href="/shop?category=${category}">${category_name}</a><span>${name}</span></nav>
    <article class="detail">
      <div class="frame large"><img src="${picturePath(product)}" alt="${name}, ${shade}" width="400" height="500">${label && html`<span class="badge">${label}</span>`}</div>
      <div class="facts">
        <p class="eyebrow">${category_name}</p>
        <h1>${name}</h1>
        <p class="price big">${money(price_cents)}</p>
        <p class="lead">${description}</p>
        <p class="shade"><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><circle cx="10" cy="10" r="9" fill="${colour}" stroke="#0003"/></svg>${shade}</p>
        <form method="post" action="/cart/items">
          <input type="hidden" name="product" value="${slug}">
          ${problem && html`<p class="problem" role="alert">${problem}</p>`}
          <fieldset class="sizes"><legend>Size</legend>
            ${sizes.map((size) => html`<label><input type="radio" name="size" value="${size}" required${sizes.length === 1 && html` checked`}><span>${size}</span></label>`)}
          </fieldset>
          <button class="button wide">${icon("bag")}Add to cart</button>
        </form>
        <p class="note">${icon("truck")}${free} With you in two to four days.</p>
        <details open><summary>Material and care</summary><p>${material}. Wash cold and seldom, dry in the air, and it will outlast the trend.</p></details>
        <details><summary>Repairs</summary><p>A seam, a button, a hole: send it to us, we mend it and send it back. For as long as you wear it.</p></details>
      </div>
    </article>
    ${recommendations("Wear it with", picks)}`,
  });
}
