// Pictures of garments, drawn from what the catalogue says of them. Pure: the same words, the same picture.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

import { brightness, darker, lighter, mix } from "./colour.js";
import { OTHERS } from "./others.js";
import { PATTERNS, pattern } from "./patterns.js";
import { TOPS } from "./tops.js";

const SHAPES = { ...TOPS, ...OTHERS };

export const GARMENTS = Object.keys(SHAPES);

const NAME = /^([a-z]+)-([a-z]+)-([0-9a-f]{6})-([0-9a-f]{6})$/;

// The address of a picture says all that is on it, and how it is drawn, so browsers may keep it.
const HERE = new URL(".", import.meta.url);
const sources = readdirSync(HERE).filter((file) => !file.endsWith(".test.js")).sort().map((file) => readFileSync(new URL(file, HERE)));
const DRAWN = sources.reduce((hash, source) => hash.update(source), createHash("sha256")).digest("hex").slice(0, 10);

const nameOf = ({ garment, pattern, colour, accent }) => `${garment}-${pattern}-${colour.slice(1)}-${accent.slice(1)}`;

export const picturePath = (product) => `/pictures/${nameOf(product)}.svg?v=${DRAWN}`;
export const scenePath = (products) => `/pictures/scene/${products.map(nameOf).join("/")}.svg?v=${DRAWN}`;

function parse(name) {
  const [, garment, cloth, colour, accent] = NAME.exec(name) ?? [];
  if (!GARMENTS.includes(garment) || !PATTERNS.includes(cloth)) return undefined;
  return { garment, pattern: cloth, colour: `#${colour}`, accent: `#${accent}` };
}

// The picture of such a name; undefined when there is none.
export function picture(name) {
  const product = parse(name);
  return product && svg(400, 500, `${backdrop(product.colour)}${drawing(product, "g")}`);
}

// Three garments side by side, each before an arch of its own: the picture of the front page.
export function scene(names) {
  const products = names.map(parse);
  if (products.includes(undefined)) return undefined;
  const places = [
    { x: 6, y: 96, size: 0.86, arch: "#e9cfae" },
    { x: 290, y: 22, size: 1.02, arch: "#c3d3c4" },
    { x: 634, y: 110, size: 0.84, arch: "#ecc3ab" },
  ];
  const drawn = products.map((product, i) => {
    const { x, y, size, arch } = places[i];
    const floor = (560 - y) / size;
    return `<g transform="translate(${x} ${y}) scale(${size})"><path d="M46 ${floor}V214C46 118 112 50 200 50S354 118 354 214V${floor}Z" fill="${arch}"/>${drawing(product, `s${i}`)}</g>`;
  });
  return svg(990, 560, drawn.join(""));
}

function svg(width, height, body) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${body}</svg>`;
}

// A wall in a tint of the garment, with light from the left and a floor.
function backdrop(colour) {
  const wall = mix(colour, "#f3ece0", brightness(colour) > 0.75 ? 0.55 : 0.8);
  const tinted = brightness(colour) > 0.75 ? mix(wall, "#a89a84", 0.28) : wall;
  return (
    `<defs><linearGradient id="w" x1="0" y1="0" x2="1" y2="1"><stop stop-color="${lighter(tinted, 0.3)}"/><stop offset="1" stop-color="${darker(tinted, 0.07)}"/></linearGradient></defs>` +
    `<rect width="400" height="500" fill="url(#w)"/><path d="M56 500V236C56 140 120 74 200 74S344 140 344 236V500Z" fill="${lighter(tinted, 0.36)}" opacity=".75"/>`
  );
}

function drawing({ garment, pattern: cloth, colour, accent }, id) {
  const shape = SHAPES[garment]();
  const trim = trimOf(cloth, colour);
  const colours = {
    cloth: `url(#${id}c)`,
    trim,
    accent,
    inside: darker(colour, 0.42),
    lining: mix(darker(colour, 0.45), accent, 0.35),
    deep: darker(colour, 0.4),
    button: brightness(colour) > 0.6 ? darker(accent, 0.05) : lighter(accent, 0.75),
  };
  const fill = (text) => text.replace(/var\(--(\w+)\)/g, (_, name) => colours[name]);
  const part = (d, paint) =>
    `<path d="${d}" fill="${paint}"/><path d="${d}" fill="url(#${id}s)" fill-rule="evenodd"/><path d="${d}" fill="none" stroke="${colours.deep}" stroke-width="2.2" stroke-linejoin="round"/>`;
  const rule = garment === "scarf" ? ' fill-rule="evenodd"' : "";
  const band = (d) => `<path d="${d}" fill="url(#${id}r)" stroke="${colours.deep}" stroke-width="1.8" stroke-linejoin="round"/>`;
  const arm = shape.sleeve ? part(shape.sleeve, `url(#${id}a)`) + (shape.cuffs ? band(shape.cuffs) : "") + fill(shape.onSleeve ?? "") : "";

  return (
    `<defs>${pattern(`${id}c`, cloth, colour, accent)}${pattern(`${id}a`, cloth, colour, accent, 14)}${pattern(`${id}r`, "rib", trim, accent)}` +
    `<linearGradient id="${id}s"><stop stop-color="#1a120a" stop-opacity=".2"/><stop offset=".28" stop-color="#1a120a" stop-opacity="0"/><stop offset=".42" stop-color="#fff" stop-opacity=".16"/><stop offset=".6" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#1a120a" stop-opacity=".24"/></linearGradient>` +
    `<filter id="${id}f" x="-20%" y="-20%" width="140%" height="150%"><feDropShadow dx="0" dy="12" stdDeviation="11" flood-color="${darker(colour, 0.65)}" flood-opacity=".32"/></filter></defs>` +
    `<g filter="url(#${id}f)" transform="translate(0 ${shape.lift ?? 0}) translate(200 250) scale(.94) translate(-200 -266)"${rule}>` +
    `${fill(shape.behind ?? "")}${arm}${arm && `<g transform="matrix(-1 0 0 1 400 0)">${arm}</g>`}${part(shape.body, colours.cloth)}` +
    `${shape.band ? band(shape.band) : ""}${fill(shape.detail)}</g>`
  );
}

// Collars, cuffs and pockets: of the same cloth, a little deeper, so that they show.
function trimOf(cloth, colour) {
  return brightness(colour) > 0.35 ? darker(colour, 0.1) : lighter(colour, 0.08);
}
