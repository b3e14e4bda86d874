// The checkout, and what comes after.

import { picturePath } from "../garments/index.js";
import { html } from "../html.js";
import { recommendations } from "./cards.js";
import { summary } from "./cart.js";
import { icon, money, page } from "./layout.js";

const FIELDS = [
  { name: "name", label: "Name", autocomplete: "name", max: 80, placeholder: "Ada Lovelace" },
  { name: "email", label: "E-mail", type: "email", autocomplete: "email", max: 120, placeholder: "ada@example.com" },
  { name: "street", label: "Street and number", autocomplete: "street-address", max: 120, placeholder: "12 Loom Lane" },
  { name: "postcode", label: "Postcode", autocomplete: "postal-code", max: 12, placeholder: "27131", half: true },
  { name: "city", label: "City", autocomplete: "address-level2", max: 80, placeholder: "Ystad", half: true },
];

const CARD = [
  { name: "number", label: "Card number", autocomplete: "cc-number", max: 23, inputmode: "numeric", placeholder: "4242 4242 4242 4242" },
  { name: "expiry", label: "Good until", autocomplete: "cc-exp", max: 7, placeholder: "MM/YY", half: true },
];

export function checkoutPage({ id, quote, draft = {}, problem, frame }) {
  const fields = (list) =>
    list.map(({ name, label, type = "text", autocomplete, max, inputmode, placeholder, half }) => html`
          <p class="field${half && " half"}"><label for="${name}">${label}</label><input id="${name}" name="${name}" type="${type}" value="${draft[name]}" autocomplete="${autocomplete}" maxlength="${max}" placeholder="${placeholder}"${inputmode && html` inputmode="${inputmode}"`} required${problem?.field === name && html` aria-invalid="true" aria-describedby="problem"`}></p>`);
  return page({
    title: "Checkout",
    frame,
    kind: "checkout",
    body: html`
    <h1>Checkout</h1>
    <div class="two">
      <form class="checkout" method="post" action="/checkout">
        <input type="hidden" name="id" value="${id}">
        ${problem && html`<p class="problem" id="problem" role="alert">${problem.error}</p>`}
        <fieldset><legend>Where it goes</legend>${fields(FIELDS)}
        </fieldset>
        ${frame.flags["gift-note"] && html`<fieldset><legend>A gift?</legend>
          <p class="field"><label for="gift_note">A few words on a card <span>(if you like)</span></label><textarea id="gift_note" name="gift_note" rows="3" maxlength="200">
${draft.gift_note}</textarea></p>
        </fieldset>`}
        <fieldset><legend>Payment</legend>${fields(CARD)}
          <p class="hint">${icon("lock")}This shop is a demonstration and charges nobody: pay with 4242 4242 4242 4242 and any date to come. 4000 0000 0000 0002 is declined.</p>
        </fieldset>
        <button class="button wide">Pay ${money(quote.total_cents)}</button>
      </form>
      ${summary(quote, html`<ul class="brief">${quote.lines.map(({ name, size, quantity, price_cents }) => html`<li><span>${quantity} × ${name}, ${size}</span><span>${money(price_cents * quantity)}</span></li>`)}</ul>`)}
    </div>`,
  });
}

export function orderPage({ order, pictures, picks, frame }) {
  const { customer } = order;
  const [first] = customer.name.split(" ");
  return page({
    title: "Thank you",
    frame,
    kind: "order",
    body: html`
    <section class="thanks">
      <span class="tick">${icon("check")}</span>
      <h1>Thank you, ${first}.</h1>
      <p class="lead">Your order <b class="number">${order.id.slice(0, 8).toUpperCase()}</b> is ${order.status}, and we are looking for the right box. A confirmation is on its way to <b>${customer.email}</b>.</p>
    </section>
    <div class="receipt">
      <ul class="lines">${order.lines.map((line) => html`
        <li class="line"><span class="frame">${pictures[line.product] && html`<img src="${picturePath(pictures[line.product])}" alt="" width="400" height="500">`}</span><div><h2>${line.name}</h2><p>${line.size} · ${line.quantity} ${line.quantity === 1 ? "piece" : "pieces"}</p></div><p class="price">${money(line.price_cents * line.quantity)}</p></li>`)}
      </ul>
      <dl>
        <div><dt>Pieces</dt><dd>${money(order.subtotal_cents)}</dd></div>
        <div><dt>Shipping</dt><dd>${order.shipping_cents === 0 ? "free" : money(order.shipping_cents)}</dd></div>
        <div class="total"><dt>Total</dt><dd>${money(order.total_cents)}</dd></div>
      </dl>
      <p class="address"><b>Goes to</b>${customer.name}<br>${customer.street}<br>${customer.postcode} ${customer.city}${order.gift_note && html`<br><i>“${order.gift_note}”</i>`}</p>
    </div>
    ${recommendations("For next time", picks)}`,
  });
}
