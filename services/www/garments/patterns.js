// What cloth looks like from near: each pattern is a tile that repeats over the garment.

import { darker, lighter } from "./colour.js";

const ground = (colour, width, height) => `<rect width="${width}" height="${height}" fill="${colour}"/>`;

// From a pattern's name to its tile: size and drawing, of the garment's colour and its accent.
const TILES = {
  stripes: (colour, accent) => [40, 26, `${ground(colour, 40, 26)}<rect y="8" width="40" height="9" fill="${accent}"/>`],

  check: (colour, accent) => [
    56, 56,
    `${ground(colour, 56, 56)}<g fill="${accent}"><rect width="18" height="56" opacity=".55"/><rect width="56" height="18" opacity=".55"/><rect x="35" width="3" height="56" opacity=".7"/><rect y="35" width="56" height="3" opacity=".7"/></g>`,
  ],

  dots: (colour, accent) => [
    34, 34,
    `${ground(colour, 34, 34)}<g fill="${accent}"><circle cx="8" cy="9" r="3.2"/><circle cx="25" cy="26" r="3.2"/><circle cx="26" cy="8" r="1.6" opacity=".6"/><circle cx="8" cy="27" r="1.6" opacity=".6"/></g>`,
  ],

  flowers: (colour, accent) => [
    58, 58,
    `${ground(colour, 58, 58)}${flower(15, 16, accent, 1)}${flower(44, 45, accent, 0.8)}<g fill="none" stroke="${darker(accent, 0.25)}" stroke-width="1.6" stroke-linecap="round" opacity=".55"><path d="M15 24q3 6 9 8M44 37q-6-4-5-11"/></g>`,
  ],

  cable: (colour) => {
    const [low, high] = [darker(colour, 0.14), lighter(colour, 0.35)];
    return [
      44, 36,
      `${ground(colour, 44, 36)}<g fill="none" stroke-linecap="round"><path d="M12 -4C12 8 30 10 30 18S12 28 12 40M30 -4C30 8 12 10 12 18S30 28 30 40" stroke="${low}" stroke-width="8"/><path d="M12 -4C12 8 30 10 30 18S12 28 12 40M30 -4C30 8 12 10 12 18S30 28 30 40" stroke="${high}" stroke-width="4.4"/><path d="M0 0V36M42 0V36" stroke="${low}" stroke-width="2"/></g>`,
    ];
  },

  rib: (colour) => [
    9, 9, `${ground(colour, 9, 9)}<rect width="2.6" height="9" fill="${darker(colour, 0.13)}"/><rect x="4.6" width="2" height="9" fill="${lighter(colour, 0.12)}"/>`,
  ],

  quilt: (colour, accent) => [
    48, 48,
    `${ground(colour, 48, 48)}<path d="M0 0 48 48M48 0 0 48" stroke="${accent}" stroke-width="2.2"/><path d="M1 -1 49 47M49 1 1 49" stroke="${lighter(colour, 0.25)}" stroke-width="1" opacity=".7"/>`,
  ],

  pleats: (colour) => [
    22, 22,
    `${ground(colour, 22, 22)}<rect width="5" height="22" fill="${darker(colour, 0.2)}"/><rect x="5" width="4" height="22" fill="${darker(colour, 0.08)}"/><rect x="14" width="5" height="22" fill="${lighter(colour, 0.12)}"/>`,
  ],

  denim: (colour) => [
    6, 6, `${ground(colour, 6, 6)}<path d="M-1 7 7 -1M-1 1 1 -1M5 7 7 5" stroke="${lighter(colour, 0.14)}" stroke-width="1"/>`,
  ],
};

function flower(x, y, colour, size) {
  const petals = [0, 72, 144, 216, 288].map((turn) => `<ellipse cy="-4.6" rx="3" ry="4.6" transform="rotate(${turn})"/>`);
  return `<g transform="translate(${x} ${y}) scale(${size})" fill="${colour}">${petals.join("")}<circle r="2.3" fill="#fff4d6"/></g>`;
}

export const PATTERNS = ["plain", ...Object.keys(TILES)];

// The definition of a pattern, turned as the cloth of a sleeve is.
export function pattern(id, name, colour, accent, turn = 0) {
  if (!TILES[name]) return `<pattern id="${id}" width="10" height="10" patternUnits="userSpaceOnUse">${ground(colour, 10, 10)}</pattern>`;
  const [width, height, tile] = TILES[name](colour, accent);
  return `<pattern id="${id}" width="${width}" height="${height}" patternUnits="userSpaceOnUse" patternTransform="translate(200 0) rotate(${turn})">${tile}</pattern>`;
}
