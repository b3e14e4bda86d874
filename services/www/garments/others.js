// Dresses, skirts, trousers, and what goes with them.

const line = (d, width = 2, more = "") => `<path d="${d}" fill="none" stroke="var(--deep)" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round" ${more}/>`;
const piece = (d, fill = "var(--trim)", width = 2) => `<path d="${d}" fill="${fill}" stroke="var(--deep)" stroke-width="${width}" stroke-linejoin="round"/>`;
const folds = (...paths) => paths.map((d) => line(d, 2.4, 'opacity=".3"')).join("");

const WAIST = "M152 96L150 150C150 186 156 206 160 226Q200 236 240 226C244 206 250 186 250 150L248 96";

export const OTHERS = {
  dress: () => ({
    behind: `<path d="M160 92Q200 76 240 92L236 132Q200 148 164 132Z" fill="var(--inside)"/>`,
    body: "M148 84L164 82C166 124 182 140 200 140S234 124 236 82L252 84C252 118 258 138 268 156C260 186 252 206 250 226L304 446Q308 458 296 460Q200 472 104 460Q92 458 96 446L150 226C148 206 140 186 132 156C142 138 148 118 148 84Z",
    detail:
      line("M150 226Q200 240 250 226", 2.4) + line("M164 82C166 124 182 140 200 140S234 124 236 82", 3) +
      folds("M170 250L146 448", "M200 252V456", "M230 250L254 448", "M150 260L122 430", "M250 260L278 430") + line("M146 268l-12 42", 2.4) + line("M254 268l12 42", 2.4),
  }),

  wrapdress: () => ({
    behind: `<path d="M150 100Q200 78 250 100L206 196H194Z" fill="var(--inside)"/>`,
    sleeve: "M150 104C124 112 112 130 104 160L86 226Q86 234 94 236L134 246Q140 246 142 240L158 200Z",
    body: "M148 102L160 98L204 198L240 98L252 102C270 110 268 150 262 186C258 206 252 222 250 236L302 440Q306 452 294 455Q200 470 106 455Q94 452 98 440L150 236C148 222 142 206 138 186C132 150 130 110 148 102Z",
    detail:
      line("M160 98L236 236", 3) + line("M240 98L204 178", 3) + piece("M149 228Q200 242 251 228V244Q200 258 149 244Z") +
      piece("M238 240q18 20 10 62l12-4q8-38-6-62z") + piece("M228 240q-2 30-14 52l12 4q14-24 16-54z") +
      line("M232 256Q226 360 196 460", 2.2) + folds("M170 262L148 446", "M206 270L178 440", "M252 268L276 440"),
  }),

  skirt: () => ({
    body: "M142 120H258L306 420Q308 432 296 434Q200 446 104 434Q92 432 94 420Z",
    detail: piece("M140 98Q200 106 260 98V126Q200 134 140 126Z") + folds("M168 134L138 432", "M190 134L178 436", "M212 134L224 436", "M234 134L264 432"),
  }),

  trousers: () => ({
    body: "M138 84H262L276 180L264 452Q264 460 256 460H222Q214 460 213 452L202 226H198L187 452Q186 460 178 460H144Q136 460 136 452L124 180Z",
    detail:
      piece("M138 76H262L265 102H135Z") + line("M200 102V186Q200 200 188 204", 2) + line("M200 186V226", 2) +
      line("M134 108Q146 140 126 158", 2) + line("M266 108Q254 140 274 158", 2) + folds("M160 200L164 440", "M240 200L236 440") +
      `<circle cx="200" cy="89" r="4.4" fill="var(--button)" stroke="var(--deep)" stroke-width="1"/>` + belt(148, 178, 222, 252),
  }),

  widetrousers: () => ({
    body: "M142 84H258L274 180L306 446Q308 456 298 457L220 460Q212 460 211 452L202 226H198L189 452Q188 460 180 460L102 457Q92 456 94 446L126 180Z",
    detail:
      piece("M142 74H258L262 102H138Z") + line("M200 102V226", 2) + line("M136 108Q150 140 128 160", 2) + line("M264 108Q250 140 272 160", 2) +
      line("M166 118L146 456", 2, 'opacity=".55"') + line("M234 118L254 456", 2, 'opacity=".55"') + belt(152, 180, 220, 248),
  }),

  jeans: () => ({
    body: "M138 84H262L274 180L260 452Q260 460 252 460H220Q212 460 211 452L202 226H198L189 452Q188 460 180 460H148Q140 460 140 452L126 180Z",
    detail:
      piece("M138 76H262L265 102H135Z", "var(--cloth)") +
      `<g fill="none" stroke="var(--accent)" stroke-width="1.8" stroke-dasharray="5 3"><path d="M134 110Q164 112 168 136Q150 160 128 160M266 110Q236 112 232 136Q250 160 272 160M206 102V176Q204 196 190 204M136 98H264M142 446H188M212 446H258M130 190L144 440M270 190L256 440"/></g>` +
      line("M200 102V226", 2) + `<circle cx="200" cy="89" r="5" fill="var(--accent)" stroke="var(--deep)" stroke-width="1"/>` + belt(148, 178, 222, 252) + folds("M160 240L164 430", "M240 240L236 430"),
  }),

  beanie: () => ({
    body: "M96 300C92 176 138 126 200 126S308 176 304 300Q200 326 96 300Z",
    detail:
      piece("M86 286Q200 316 314 286L318 344Q318 352 308 354Q200 380 92 354Q82 352 82 344Z", "var(--cloth)") +
      folds("M200 130V300", "M166 134Q138 180 136 304", "M234 134Q262 180 264 304") +
      `<circle cx="200" cy="118" r="30" fill="var(--trim)" stroke="var(--deep)" stroke-width="2"/><path d="M182 104l10 12M200 94v16M218 104l-10 12M178 124l14 2M222 124l-14 2M190 140l6-10M212 140l-6-10" stroke="var(--deep)" stroke-width="2" stroke-linecap="round" opacity=".5"/>` +
      piece("M176 318h48v26h-48z", "var(--button)"),
  }),

  scarf: () => ({
    behind: piece("M226 210L296 438L236 456L190 240Z", "var(--cloth)") + fringe(238, 456, 292, 440),
    body: "M118 128C150 96 250 96 282 128C304 152 302 196 276 216C240 240 160 240 124 216C98 196 96 152 118 128ZM148 158C142 172 150 182 166 188C186 194 214 194 234 188C250 182 258 172 252 158C230 142 170 142 148 158Z",
    detail:
      piece("M176 196C158 226 132 300 112 424L176 440C186 350 206 272 226 214Z", "var(--cloth)") + fringe(114, 426, 174, 440) +
      line("M116 196Q146 226 196 230", 2, 'opacity=".5"') + line("M150 160C172 146 228 146 250 160", 2, 'opacity=".6"'),
  }),

  tote: () => ({
    behind: `<path d="M154 206C150 90 176 66 200 66S250 90 246 206" fill="none" stroke="var(--deep)" stroke-width="17"/><path d="M154 206C150 90 176 66 200 66S250 90 246 206" fill="none" stroke="var(--trim)" stroke-width="13"/>`,
    body: "M106 186H294L308 424Q308 436 296 436H104Q92 436 92 424Z",
    detail:
      `<path d="M144 186C140 116 168 92 200 92S260 116 256 186V236H244V186C246 130 226 106 200 106S154 130 156 186V236H144Z" fill="var(--trim)" stroke="var(--deep)" stroke-width="2"/>` +
      line("M104 200H296", 1.6, 'stroke-dasharray="5 3" opacity=".6"') +
      `<g fill="none" stroke="var(--accent)" stroke-width="5" stroke-linecap="round" stroke-linejoin="round"><path d="M200 384V296M200 350C176 348 166 332 166 314C186 316 198 328 200 350ZM200 328C224 326 234 310 234 292C214 294 202 306 200 328Z"/></g>`,
  }),

  sneaker: () => ({
    body: "M70 226C84 222 92 214 100 200L150 196C168 240 206 262 262 270C306 276 330 290 332 318L334 334H62C58 300 58 260 70 226Z",
    detail:
      piece("M58 330H338C344 330 346 336 346 344C346 360 338 368 324 368H76C60 368 54 358 54 346C54 336 54 330 58 330Z", "var(--button)") +
      line("M56 346H344", 1.6, 'opacity=".5"') +
      piece("M70 226C84 222 92 214 100 200L128 198C124 240 104 262 64 268Z", "var(--accent)") +
      piece("M262 270C306 276 330 290 332 318L333 330H258C248 306 250 286 262 270Z", "var(--trim)") +
      line("M150 196C156 240 170 286 168 330", 2, 'opacity=".5"') +
      `<g stroke="var(--button)" stroke-width="7" stroke-linecap="round"><path d="M158 226l26-14M172 244l26-16M190 258l24-18M212 268l20-18"/></g><g stroke="var(--deep)" stroke-width="1" opacity=".35"><path d="M158 230l26-14M172 248l26-16M190 262l24-18M212 272l20-18"/></g>`,
    lift: 60,
  }),
};

function belt(...xs) {
  return xs.map((x) => `<rect x="${x - 3}" y="74" width="6" height="30" rx="2" fill="var(--cloth)" stroke="var(--deep)" stroke-width="1.4"/>`).join("");
}

function fringe(x1, y1, x2, y2) {
  const strands = Array.from({ length: 9 }, (_, i) => {
    const [x, y] = [x1 + ((x2 - x1) * i) / 8, y1 + ((y2 - y1) * i) / 8];
    return `M${x.toFixed(1)} ${y.toFixed(1)}l${i % 2 ? 2 : -2} 22`;
  });
  return `<path d="${strands.join("")}" stroke="var(--deep)" stroke-width="3" stroke-linecap="round"/>`;
}
