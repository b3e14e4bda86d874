import assert from "node:assert/strict";
import { test } from "node:test";

import { html } from "./html.js";
import { CONTENT_SECURITY_POLICY, ago, errorPage, wallPage } from "./page.js";

const visit = { self: "www-1a", downstream: new Set(["api-2b"]), apiMs: 3.21, database: "PostgreSQL 15.14" };
const greeting = { id: "1", author: "Ada", message: "hello", tint: "mint", created_at: "2025-01-01T00:00:00+00:00" };

function wall(greetings, total = greetings.length) {
  return { greetings, total };
}

test("what is put into a template is escaped once, markup is kept", () => {
  const evil = `<script>"&'`;
  const inner = html`<b title="${evil}">${evil}</b>`;
  assert.equal(
    html`${inner}${[inner]}`.toString(),
    `<b title="&lt;script&gt;&quot;&amp;&#39;">&lt;script&gt;&quot;&amp;&#39;</b>`.repeat(2),
  );
  assert.equal(html`${null}${undefined}${false}${0}`.toString(), "0");
});

test("a greeting cannot bring markup", () => {
  const evil = { ...greeting, author: `<i>"`, message: "<script>alert(1)</script>", tint: `"><script>` };
  const page = wallPage({ wall: wall([evil]), visit, draft: { id: "x" } });
  assert.ok(!page.includes("<script"));
  assert.ok(page.includes("&lt;script&gt;alert(1)&lt;/script&gt;"));
  assert.ok(page.includes(`<li class="note sun">`), "an unknown tint is the first one");
});

test("the footer names the way through the graph", () => {
  const page = wallPage({ wall: wall([greeting]), visit, draft: { id: "x" } });
  for (const part of ["<code>1a</code>", "<code>2b</code>", "<code>15.14</code>", "3.2 ms", "1 greeting<"]) {
    assert.ok(page.includes(part), part);
  }
});

test("a refused draft is still there", () => {
  const draft = { id: "x", author: "Ada", message: "\n<too long>", tint: "sky" };
  const problem = { error: "At most 280 fit.", field: "message" };
  const page = wallPage({ wall: wall([]), visit, draft, problem });
  assert.ok(page.includes("At most 280 fit."));
  assert.ok(page.includes("\n\n&lt;too long&gt;</textarea>"), "with its first empty line");
  assert.match(page, /value="sky" checked/);
  assert.match(page, /<textarea [^>]*aria-invalid/);
});

test("an error page says what failed", () => {
  const error = { status: 502, message: "The api answered 503: no database" };
  assert.match(errorPage({ error, visit }), /The api answered 503: no database/);
  const alone = { ...visit, downstream: new Set(), apiMs: undefined, database: undefined };
  assert.match(errorPage({ error, visit: alone }), /no answer/);
});

test("time is told as people tell it", () => {
  const now = Date.parse("2025-03-01T12:00:00Z");
  const told = (time) => ago(time, now);
  assert.equal(told("2025-03-01T12:00:20+00:00"), "just now", "clocks differ a little");
  assert.equal(told("2025-03-01T11:55:00+00:00"), "5 min ago");
  assert.equal(told("2025-03-01T09:00:00+00:00"), "3 h ago");
  assert.equal(told("2025-02-28T11:00:00+00:00"), "yesterday");
  assert.equal(told("2025-02-20T12:00:00+00:00"), "9 days ago");
  assert.equal(told("2024-02-20T12:00:00+00:00"), "2024-02-20");
});

test("only our own style applies and nothing runs", () => {
  assert.match(CONTENT_SECURITY_POLICY, /default-src 'none'; style-src 'sha256-/);
});
