// Everything with a neck and two arms, from a tee to a coat: one cut with different measures.

// Measures: half widths from the middle (x = 200) and heights from the top.
const BASE = { neck: 44, dip: 26, shoulder: 92, chest: 104, hem: 104, bottom: 392, wrist: 344, reach: 150, cuff: 30 };

function body({ neck, dip, shoulder, chest, hem, bottom }) {
  const [l, r] = [(half) => 200 - half, (half) => 200 + half];
  return (
    `M${l(neck)} 112C${l(neck * 0.55)} ${112 + dip} ${r(neck * 0.55)} ${112 + dip} ${r(neck)} 112` +
    `L${r(shoulder)} 134Q${r(chest + 3)} 148 ${r(chest)} 200L${r(hem)} ${bottom - 10}Q${r(hem)} ${bottom} ${r(hem - 10)} ${bottom}` +
    `H${l(hem - 10)}Q${l(hem)} ${bottom} ${l(hem)} ${bottom - 10}L${l(chest)} 200Q${l(chest + 3)} 148 ${l(shoulder)} 134Z`
  );
}

// The left sleeve; the right one is its mirror image.
function sleeve({ shoulder, chest, wrist, reach, cuff }) {
  const x = 200 - reach; // the middle of the cuff
  const [dx, dy] = [cuff / 2, 6];
  return (
    `M${200 - shoulder + 4} 132C${200 - chest - 22} 142 ${200 - chest - 32} 166 ${200 - chest - 38} 192` +
    `L${x - dx} ${wrist - dy}Q${x - dx} ${wrist + 1} ${x - dx + 7} ${wrist + 3}L${x + dx - 5} ${wrist + dy + 3}Q${x + dx} ${wrist + dy + 3} ${x + dx + 2} ${wrist + dy - 3}` +
    `L${200 - chest + 22} 232L${200 - chest + 24} 150Z`
  );
}

function cuffBand({ wrist, reach, cuff }, depth) {
  const x = 200 - reach;
  const [dx, dy] = [cuff / 2, 6];
  const lean = depth * 0.2; // the sleeve comes in from above
  return `M${x - dx - 1} ${wrist - dy}Q${x - dx} ${wrist + 1} ${x - dx + 7} ${wrist + 3}L${x + dx - 5} ${wrist + dy + 3}Q${x + dx} ${wrist + dy + 3} ${x + dx + 2} ${wrist + dy - 3}L${x + dx + lean + 3} ${wrist + dy - depth}L${x - dx + lean + 1} ${wrist - dy - depth}Z`;
}

const band = ({ hem, bottom }, depth) =>
  `M${200 - hem} ${bottom - depth}H${200 + hem}V${bottom - 10}Q${200 + hem} ${bottom} ${200 + hem - 10} ${bottom}H${200 - hem + 10}Q${200 - hem} ${bottom} ${200 - hem} ${bottom - 10}Z`;

// Inside of the neck, behind everything; drawn first.
const inside = ({ neck }) => `<path d="M${200 - neck} 112Q200 92 ${200 + neck} 112Q200 ${112 + 34} ${200 - neck} 112Z" fill="var(--inside)"/>`;

const collarLine = ({ neck, dip }, width) =>
  `<path d="M${200 - neck + 1} 112C${200 - neck * 0.55} ${112 + dip} ${200 + neck * 0.55} ${112 + dip} ${200 + neck - 1} 112" fill="none" stroke="var(--deep)" stroke-width="${width + 1.6}"/>` +
  `<path d="M${200 - neck + 1} 112C${200 - neck * 0.55} ${112 + dip} ${200 + neck * 0.55} ${112 + dip} ${200 + neck - 1} 112" fill="none" stroke="var(--trim)" stroke-width="${width}"/>`;

const buttons = (from, to, count, x = 200) =>
  Array.from({ length: count }, (_, i) => {
    const y = from + ((to - from) * i) / (count - 1);
    return `<circle cx="${x}" cy="${y}" r="4.4" fill="var(--button)" stroke="var(--deep)" stroke-width="1"/><path d="M${x - 1.4} ${y}h2.8" stroke="var(--deep)" stroke-width="1"/>`;
  }).join("");

const line = (d, width = 2, more = "") => `<path d="${d}" fill="none" stroke="var(--deep)" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round" ${more}/>`;
const patch = (d) => `<path d="${d}" fill="var(--trim)" fill-opacity=".35" stroke="var(--deep)" stroke-width="2" stroke-linejoin="round"/>`;

// Folds of an open front, a collar with two points.
const points = (neck, fill = "var(--trim)") =>
  `<path d="M${200 - neck - 2} 108L200 138L${200 - 30} 172L${200 - neck - 12} 122Z" fill="${fill}" stroke="var(--deep)" stroke-width="2" stroke-linejoin="round"/>` +
  `<path d="M${200 + neck + 2} 108L200 138L${200 + 30} 172L${200 + neck + 12} 122Z" fill="${fill}" stroke="var(--deep)" stroke-width="2" stroke-linejoin="round"/>`;

function top(measures, { ribs = 0, detail = "", collar, before = "" } = {}) {
  const m = { ...BASE, ...measures };
  const trims = ribs ? { cuffs: cuffBand(m, ribs), band: band(m, ribs) } : {};
  return {
    behind: before + inside(m),
    sleeve: sleeve(m),
    body: body(m),
    ...trims,
    detail: (collar === undefined ? collarLine(m, ribs ? 11 : 7) : collar) + detail,
  };
}

const SHORT_SLEEVE = "M112 130C92 136 80 148 71 168L46 222Q43 230 51 234L98 254Q105 256 108 249L124 214V150Z";
const SHORT_SEAM = "M50 220L110 245";

export const TOPS = {
  tee: () => ({
    ...top({ hem: 100, chest: 100, bottom: 392 }, { detail: line("M102 380H298", 1.4, 'stroke-dasharray="4 3" opacity=".5"') }),
    sleeve: SHORT_SLEEVE,
    onSleeve: line(SHORT_SEAM, 1.4, 'stroke-dasharray="4 3" opacity=".5"'),
  }),

  longsleeve: () =>
    top({ neck: 52, dip: 18, chest: 98, hem: 96, bottom: 386, cuff: 27 }, { detail: line("M106 375H294", 1.4, 'stroke-dasharray="4 3" opacity=".5"') }),

  shirt: () =>
    top(
      { chest: 102, hem: 100, bottom: 402, neck: 40 },
      {
        collar: points(38),
        detail:
          line("M200 138V402", 2) + line("M212 150V402", 1.2, 'opacity=".6"') + buttons(176, 376, 6, 206) +
          patch("M238 196h42v44l-21 8-21-8z"),
      },
    ),

  sweater: () => top({ chest: 108, hem: 104, bottom: 392 }, { ribs: 24 }),

  rollneck: () =>
    top(
      { chest: 98, hem: 94, bottom: 388, cuff: 27 },
      {
        ribs: 20,
        collar:
          `<path d="M156 118C152 100 156 78 160 70Q200 60 240 70C244 78 248 100 244 118Q200 146 156 118Z" fill="var(--cloth)" stroke="var(--deep)" stroke-width="2"/>` +
          `<path d="M160 70Q200 60 240 70Q200 84 160 70Z" fill="var(--inside)"/>` + line("M155 98Q200 118 245 98", 1.6, 'opacity=".6"'),
      },
    ),

  cardigan: () =>
    top(
      { neck: 40, dip: 4, chest: 106, hem: 104, bottom: 396 },
      {
        ribs: 22,
        collar:
          `<path d="M160 112L200 226L240 112L232 108L200 190L168 108Z" fill="var(--inside)"/>` +
          `<path d="M156 110L194 222V396H206V222L244 110" fill="none" stroke="var(--deep)" stroke-width="15" stroke-linejoin="round"/>` +
          `<path d="M156 110L194 222V394H206V222L244 110" fill="none" stroke="var(--trim)" stroke-width="12" stroke-linejoin="round"/>` + line("M200 228V396", 1.4),
        detail: buttons(240, 380, 5) + patch("M116 312h52v50h-52z") + patch("M232 312h52v50h-52z"),
      },
    ),

  hoodie: () =>
    top(
      { chest: 108, hem: 104, bottom: 394 },
      {
        ribs: 24,
        before: `<path d="M146 124C138 70 168 50 200 50S262 70 254 124Q200 150 146 124Z" fill="var(--cloth)" stroke="var(--deep)" stroke-width="2"/>`,
        collar:
          `<path d="M158 116C154 78 176 66 200 66S246 78 242 116Q200 148 158 116Z" fill="var(--inside)"/>` +
          line("M150 118Q200 158 250 118", 5) +
          `<path d="M182 136v52M218 136v46" stroke="var(--button)" stroke-width="4" stroke-linecap="round"/>`,
        detail: patch("M142 296h116l14 62H128z"),
      },
    ),

  bomber: () =>
    top(
      { chest: 112, hem: 106, bottom: 384, cuff: 34 },
      {
        ribs: 24,
        collar: `<path d="M156 110Q200 92 244 110L238 132Q200 112 162 132Z" fill="var(--trim)" stroke="var(--deep)" stroke-width="2"/>`,
        detail:
          line("M200 120V384", 4) + `<path d="M200 120V384" stroke="var(--button)" stroke-width="1.6" stroke-dasharray="3 3"/>` +
          line("M132 282l26 40", 3) + line("M268 282l-26 40", 3),
      },
    ),

  overshirt: () =>
    top(
      { chest: 110, hem: 108, bottom: 400, cuff: 34, neck: 42 },
      {
        collar: points(40),
        detail:
          line("M200 138V400", 2.4) + line("M214 156V400", 1.2, 'opacity=".55"') + buttons(182, 372, 5, 207) +
          patch("M122 300h58v66h-58z") + patch("M232 300h52v66h-52z") + patch("M234 194h48v46h-48z"),
      },
    ),

  raincoat: () =>
    top(
      { chest: 112, hem: 126, bottom: 424, cuff: 38 },
      {
        before: `<path d="M142 126C132 66 166 44 200 44S268 66 258 126Q200 152 142 126Z" fill="var(--cloth)" stroke="var(--deep)" stroke-width="2"/>`,
        collar:
          `<path d="M158 116C154 76 174 62 200 62S246 76 242 116Q200 144 158 116Z" fill="var(--inside)"/>` + line("M148 120Q200 156 252 120", 4),
        detail:
          line("M200 140V424", 2.4) + line("M218 146V424", 1.4, 'opacity=".6"') + buttons(186, 386, 5, 209) +
          patch("M112 304h60v14h-60z") + patch("M236 304h54v14h-54z") + line("M92 216Q200 236 308 216", 1.4, 'opacity=".5"'),
      },
    ),

  coat: () =>
    top(
      { chest: 108, hem: 124, bottom: 462, cuff: 36, neck: 40, dip: 6 },
      {
        collar:
          `<path d="M162 110L200 250L238 110Q200 96 162 110Z" fill="var(--lining)"/>` +
          `<path d="M160 104L138 158L162 172L152 190L200 258V240Z" fill="var(--trim)" stroke="var(--deep)" stroke-width="2" stroke-linejoin="round"/>` +
          `<path d="M240 104L262 158L238 172L248 190L200 258V240Z" fill="var(--trim)" stroke="var(--deep)" stroke-width="2" stroke-linejoin="round"/>`,
        detail:
          line("M200 256Q206 360 204 462", 2.2) + buttons(282, 362, 3, 218) + buttons(282, 362, 3, 182) +
          patch("M110 330l58 6v14l-58-6z") + patch("M290 330l-58 6v14l58-6z"),
      },
    ),
};
