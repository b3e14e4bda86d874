// Who is looking: a cookie that stays the same from visit to visit, and a second one for the shop's own people.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";

const YEAR = 365 * 24 * 3600;
const ID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

const cookie = (name, value, age = YEAR) => `${name}=${value}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Lax`;

// The visitor of a request, with the cookies that the answer must set.
export function visitorOf(cookies, staffCode) {
  const known = ID.test(cookies.visitor ?? "");
  const id = known ? cookies.visitor : randomUUID();
  return {
    id,
    employee: Boolean(staffCode) && same(cookies.staff ?? "", badge(id, staffCode)),
    cookies: known ? [] : [cookie("visitor", id)],
  };
}

// A badge is good for one visitor only, and nobody can make one without the code.
const badge = (id, staffCode) => createHmac("sha256", staffCode).update(id).digest("hex");

export const badgeCookie = (id, staffCode) => cookie("staff", badge(id, staffCode), 30 * 24 * 3600);
export const isCode = (typed, staffCode) => Boolean(staffCode) && same(String(typed).trim(), staffCode);

function same(one, other) {
  const [a, b] = [one, other].map((text) => createHmac("sha256", "compare").update(text).digest());
  return timingSafeEqual(a, b);
}
