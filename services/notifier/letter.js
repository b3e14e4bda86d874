// The confirmation of an order, as text. Pure: the same event gives the same letter.

const money = (cents) => `€ ${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;

// The letter that an event asks for; undefined when it asks for none.
export function letterFor(event) {
  if (event?.type !== "order.placed") return undefined;
  const { order, customer, items, gift_note: note, shipping_cents: shipping, total_cents: total } = event.data;
  if (!event.id || !order || !customer?.email || !Array.isArray(items)) throw new TypeError("an order without its data");
  const [first] = customer.name.split(" ");
  const lines = items.map(({ quantity, name, size, price_cents: price }) => `  ${quantity} × ${name}, ${size}   ${money(quantity * price)}`);
  const body = [
    `Dear ${first},`,
    "",
    "thank you for your order. We are already looking for the right box.",
    "",
    ...lines,
    `  Shipping   ${shipping === 0 ? "free" : money(shipping)}`,
    `  Total   ${money(total)}`,
    "",
    `It goes to ${customer.name}, ${customer.street}, ${customer.postcode} ${customer.city}.`,
    ...(note ? ["", `On the card: “${note}”`] : []),
    "",
    "Alder & Loom",
  ].join("\n");
  return { eventId: event.id, order, recipient: customer.email, subject: `Your order ${number(order)}`, body };
}

// What people see of an order's id.
export const number = (order) => order.slice(0, 8).toUpperCase();
