// The cart, and what it costs.

import { picturePath } from "../garments/index.js";
import { html } from "../html.js";
import { recommendations } from "./cards.js";
import { icon, money, page } from "./layout.js";

const FREE_FROM = 10000;

export function cartPage({ lines, quote, picks, problem, frame }) {
  if (lines.length === 0) {
    return page({
      title: "Your cart",
      frame,
      kind: "cart",
      body: html`
    <section class="nothing">${icon("bag")}<h1>Your cart is empty</h1><p>There is a good sweater out there with your name on it.</p><p><a class="button" href="/shop">Have a look</a></p></section>
    ${recommendations("Perhaps one of these", picks)}`,
    });
  }
  return page({
    title: "Your cart",
    frame,
    kind: "cart",
    body: html`
    <h1>Your cart</h1>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <div class="two">
      <ul class="lines">${lines.map(line)}
      </ul>
      ${quote && summary(quote, html`<a class="button wide" href="/checkout">To the checkout</a><p class="note center">${icon("lock")}Paid safely, charged once.</p>`)}
    </div>
    ${recommendations("Goes well with it", picks)}`,
  });
}

function line({ product, slug, size, quantity }) {
  const name = product?.name ?? slug;
  const hidden = html`<input type="hidden" name="product" value="${slug}"><input type="hidden" name="size" value="${size}">`;
  return html`
        <li class="line">
          ${product ? html`<a class="frame" href="/products/${slug}"><img src="${picturePath(product)}" alt="" width="400" height="500"></a>` : html`<span class="frame"></span>`}
          <div>
            <h2>${product ? html`<a href="/products/${slug}">${name}</a>` : name}</h2>
            <p>${product ? `${product.shade}, ` : "No longer for sale, "}${size}</p>
            <div class="change">
              <form method="post" action="/cart/update">${hidden}<label><span class="hidden">How many ${name}</span><input type="number" name="quantity" value="${quantity}" min="1" max="20" required></label><button class="quiet">Update</button></form>
              <form method="post" action="/cart/update">${hidden}<input type="hidden" name="quantity" value="0"><button class="quiet" aria-label="Remove ${name}">Remove</button></form>
            </div>
          </div>
          ${product && html`<p class="price">${money(product.price_cents * quantity)}</p>`}
        </li>`;
}

// What it costs, with whatever comes below.
export function summary(quote, below) {
  const missing = FREE_FROM - quote.subtotal_cents;
  return html`
      <aside class="summary" aria-label="What it costs">
        <h2>Summary</h2>
        <dl>
          <div><dt>Pieces</dt><dd>${money(quote.subtotal_cents)}</dd></div>
          <div><dt>Shipping</dt><dd>${quote.shipping_cents === 0 ? "free" : money(quote.shipping_cents)}</dd></div>
          <div class="total"><dt>Total</dt><dd>${money(quote.total_cents)}</dd></div>
        </dl>
        ${missing > 0 && html`<p class="towards"><progress value="${quote.subtotal_cents}" max="${FREE_FROM}"></progress>${money(missing)} more and it ships free.</p>`}
        ${below}
      </aside>`;
}
