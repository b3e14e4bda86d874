// The two pages: the wall, and what to show instead when there is none.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { html, trusted } from "./html.js";

export const TINTS = ["sun", "peach", "rose", "lilac", "sky", "mint"];

const STYLE = readFileSync(new URL("style.css", import.meta.url), "utf8");

// Nothing may run and only our own style applies, whatever somebody writes on the wall.
const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${STYLE_HASH}'`,
  "img-src data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

// Three nodes and the edges between them.
const MARK = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" aria-hidden="true"><path d="M8 9.5 23.5 16 8 22.5" fill="none" stroke="#b9b2ee" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/><circle cx="8" cy="9" r="4.5" fill="#f2a65a"/><circle cx="24" cy="16" r="4.5" fill="#5b4bdb"/><circle cx="8" cy="23" r="4.5" fill="#3fae8c"/></svg>`;

export function wallPage({ wall, visit, draft, problem, now = Date.now() }) {
  return page({
    title: "Say hello",
    visit,
    body: html`
      <section class="intro">
        ${trusted(MARK)}
        <h1>Say hello<span>.</span></h1>
        <p class="lead">One page, one API, one table. Leave a note on the wall and see it travel the whole graph.</p>
        ${form({ draft, problem })}
        <p class="hint">No script, no cookie: a form, a redirect, a row.</p>
      </section>
      <section class="wall" aria-labelledby="wall-title">
        <header>
          <h2 id="wall-title">The wall</h2>
          <p>${count(wall)}</p>
        </header>
        ${wall.greetings.length > 0
          ? html`<ol>${wall.greetings.map((greeting) => note(greeting, now))}</ol>`
          : html`<p class="empty">Nothing here yet. Yours could be the first.</p>`}
      </section>`,
  });
}

export function errorPage({ error, visit }) {
  const titles = {
    404: "Nothing here",
    502: "The wall is out of reach",
    504: "The wall takes too long",
  };
  return page({
    title: titles[error.status] ?? "That did not work",
    visit: { ...visit, failed: error.status >= 502 },
    body: html`
      <section class="failure">
        <p class="status">${error.status}</p>
        <h1>${titles[error.status] ?? "That did not work"}<span>.</span></h1>
        <p class="lead">${error.message}</p>
        <p><a class="button" href="/">${error.status >= 500 ? "Try again" : "To the wall"}</a></p>
      </section>`,
  });
}

function form({ draft, problem }) {
  const wrong = (field) => problem?.field === field && html` aria-invalid="true" aria-describedby="problem"`;
  const tint = TINTS.includes(draft.tint) ? draft.tint : TINTS[0];
  return html`
        <form method="post" action="/" accept-charset="utf-8">
          ${problem && html`<p class="problem" id="problem" role="alert">${problem.error}</p>`}
          <input type="hidden" name="id" value="${draft.id}">
          <label for="author">Name</label>
          <input id="author" name="author" value="${draft.author}" maxlength="40" required autocomplete="nickname" placeholder="Ada"${wrong("author")}>
          <label for="message">Message</label>
          <textarea id="message" name="message" rows="4" maxlength="280" required placeholder="Something kind, something true, or both."${wrong("message")}>
${draft.message}</textarea>
          <div class="send">
            <fieldset>
              <legend>Colour</legend>
              ${TINTS.map((name) => html`<label class="swatch ${name}"><input type="radio" name="tint" value="${name}"${name === tint && html` checked`}><span>${name}</span></label>`)}
            </fieldset>
            <button class="button">Post it</button>
          </div>
        </form>`;
}

function note({ author, message, tint, created_at }, now) {
  const initial = [...author][0]?.toUpperCase();
  return html`
          <li class="note ${TINTS.includes(tint) ? tint : TINTS[0]}">
            <p class="message" dir="auto">${message}</p>
            <p class="by"><span class="initial" aria-hidden="true">${initial}</span><b dir="auto">${author}</b><time datetime="${created_at}">${ago(created_at, now)}</time></p>
          </li>`;
}

function count({ greetings, total }) {
  if (total > greetings.length) return `${greetings.length} newest of ${total}`;
  return total === 1 ? "1 greeting" : `${total} greetings`;
}

// "3 min ago", because without JavaScript nobody else knows the reader's time zone.
export function ago(time, now) {
  const minutes = Math.round((now - Date.parse(time)) / 60_000);
  if (!(minutes >= 1)) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.round(hours / 24);
  if (days === 1) return "yesterday";
  if (days < 30) return `${days} days ago`;
  return time.slice(0, 10);
}

function page({ title, body, visit }) {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light">
  <title>${title}</title>
  <link rel="icon" href="data:image/svg+xml,${encodeURIComponent(MARK)}">
  <style>${trusted(STYLE)}</style>
</head>
<body>
  <main>${body}
  </main>
  <footer>
    <p class="trail" aria-label="What served this page">${trail(visit)}</p>
    ${visit.apiMs !== undefined && html`<p class="took">api answered in <b>${milliseconds(visit.apiMs)}</b></p>`}
  </footer>
</body>
</html>
`.toString();
}

// The way that this request took through the graph.
function trail({ self, downstream, database, failed }) {
  const hops = [node(self)];
  const further = [...downstream].flatMap((value) => value.split(/\s*,\s*/));
  for (const hop of further) hops.push(node(hop, failed));
  if (failed && further.length === 0) hops.push(html`<span class="node broken">api <code>no answer</code></span>`);
  if (database) {
    const [name, version] = database.split(" ");
    hops.push(html`<span class="node database">${name} <code>${version}</code></span>`);
  }
  return hops.map((hop, i) => html`<span class="hop">${i > 0 && html`<span class="edge" aria-hidden="true"></span>`}${hop}</span>`);
}

function node(hop, broken) {
  const [name, id] = split(hop);
  return html`<span class="node ${broken ? "broken" : name}">${name} <code>${id}</code></span>`;
}

// "api-3f9c2a81d0" is version 3f9c2a81d0 of api.
function split(hop) {
  const dash = hop.lastIndexOf("-");
  return dash < 0 ? [hop, ""] : [hop.slice(0, dash), hop.slice(dash + 1)];
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
