// The door for the shop's own people, and what to show when there is no page.

import { html } from "../html.js";
import { icon, page } from "./layout.js";

export function staffPage({ frame, problem }) {
  const { preview } = frame.flags;
  return page({
    title: "For our people",
    frame,
    kind: "narrow",
    body: html`
    <section class="nothing">${icon("needle")}<h1>For our people</h1>
      ${preview
        ? html`<p>Good to see you. Next season is on the shelf for you.</p><p><a class="button" href="/shop?preview=true">To the preview</a></p>`
        : html`<p>Whoever works here sees some things earlier.</p>
      <form class="inline" method="post" action="/staff"><label class="hidden" for="code">Code</label><input id="code" name="code" type="password" placeholder="The word of the month" required maxlength="80"><button class="button">Let me in</button></form>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}`}
    </section>`,
  });
}

const TITLES = {
  404: "We looked everywhere",
  503: "We are rearranging the shelves",
};

export function errorPage({ error, frame }) {
  return page({
    title: TITLES[error.status] ?? "That did not work",
    frame,
    kind: "narrow",
    body: html`
    <section class="nothing"><p class="eyebrow">${error.status}</p><h1>${TITLES[error.status] ?? "That did not work"}</h1><p>${error.message}</p><p><a class="button" href="/">${error.status >= 500 ? "Try again" : "To the front page"}</a></p></section>`,
  });
}
