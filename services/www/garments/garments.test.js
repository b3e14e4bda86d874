import assert from "node:assert/strict";
import { test } from "node:test";

import { brightness, mix } from "./colour.js";
import { GARMENTS, picture, picturePath, scene } from "./index.js";
import { PATTERNS } from "./patterns.js";

const name = (garment, pattern) => `${garment}-${pattern}-27405e-f1ebdd`;

test("every garment can be drawn of every cloth", () => {
  for (const garment of GARMENTS) {
    for (const pattern of PATTERNS) {
      const svg = picture(name(garment, pattern));
      assert.ok(svg.startsWith("<svg") && svg.endsWith("</svg>"), `${garment} ${pattern}`);
      assert.ok(!/undefined|NaN|var\(/.test(svg), `${garment} ${pattern}`);
      for (const [, id] of svg.matchAll(/url\(#(\w+)\)/g)) assert.ok(svg.includes(`id="${id}"`), `${garment} ${pattern}: ${id}`);
    }
  }
});

test("the same words are the same picture", () => {
  assert.equal(picture(name("coat", "plain")), picture(name("coat", "plain")));
  assert.notEqual(picture(name("coat", "plain")), picture(name("coat", "check")));
});

test("the address says what is drawn", () => {
  const path = picturePath({ garment: "tee", pattern: "dots", colour: "#112233", accent: "#445566" });
  assert.match(path, /^\/pictures\/tee-dots-112233-445566\.svg\?v=[0-9a-f]{10}$/);
});

test("nothing else is drawn", () => {
  for (const wrong of ["", "car-plain-ffffff-000000", "coat-plain-red-000000", "coat-velvet-ffffff-000000", "coat-plain-ffffff-000000<"]) {
    assert.equal(picture(wrong), undefined, wrong);
  }
  assert.equal(scene([name("coat", "plain"), name("dress", "dots"), "x"]), undefined);
  assert.match(scene([name("coat", "plain"), name("dress", "dots"), name("tote", "plain")]), /^<svg/);
});

test("colours mix", () => {
  assert.equal(mix("#000000", "#ffffff", 0.5), "#808080");
  assert.equal(brightness("#ffffff"), 1);
});
