// Colours as numbers, to mix them.

const HEX = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i;

const parts = (colour) => HEX.exec(colour).slice(1).map((part) => parseInt(part, 16));

// `share` of the second colour in the first, 0 to 1.
export function mix(one, other, share) {
  const [a, b] = [parts(one), parts(other)];
  const mixed = a.map((part, i) => Math.round(part + (b[i] - part) * share));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

export const darker = (colour, share) => mix(colour, "#14100c", share);
export const lighter = (colour, share) => mix(colour, "#ffffff", share);

// How bright the eye finds it, 0 to 1.
export function brightness(colour) {
  const [red, green, blue] = parts(colour);
  return (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
}
