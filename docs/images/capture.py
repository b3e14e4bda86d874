#!/usr/bin/env python3
# A real terminal as a picture that moves: runs a command in tmux, looks at it a few times a second, and writes what it saw as SVG.
"""capture.py OUT.svg COLUMNS LINES COMMAND...

Run in the folder that the command belongs to. The picture plays at the speed of the run, rests on its end, and begins anew; who
wants nothing to move (prefers-reduced-motion) sees the end alone.
"""

import html
import os
import re
import shlex
import subprocess
import sys
import time

CELL, LINE, SIZE = 8.4, 19, 14
PAD, BAR = 18, 30
LOOK = 0.2
REST = 4.0
LONGEST = 60.0
COLOURS = {
    30: "#6b7689", 31: "#ff7b72", 32: "#4ac26b", 33: "#e3b341", 34: "#6cb6ff", 35: "#d2a8ff", 36: "#56d4dd", 37: "#e6edf3",
    90: "#6b7689", 91: "#ffa198", 92: "#6fdd8b", 93: "#f2cc60", 94: "#96d0ff", 95: "#e2c5ff", 96: "#8ddbe0", 97: "#ffffff",
}
INK, DIM = "#d6dde6", "#7d8899"


def tmux(*words):
    return subprocess.run(["tmux", "-L", "capture", *words], capture_output=True, text=True, check=False).stdout


def record(columns, lines, command):
    """What the terminal showed, each with the seconds at which it began."""
    inner = f"clear; {shlex.join(command)}; tmux -L capture wait-for -S done; sleep 3600"
    env = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(("CLUSTERGRAPH_", "PATH", "DOCKER_HOST"))]
    tmux("new-session", "-d", "-s", "run", "-x", str(columns), "-y", str(lines), "env", *env, "sh", "-c", inner)
    ended = subprocess.Popen(["tmux", "-L", "capture", "wait-for", "done"])
    frames, began = [], time.monotonic()
    try:
        while time.monotonic() - began < LONGEST:
            is_over = ended.poll() is not None
            shown = tmux("capture-pane", "-p", "-e", "-t", "run").rstrip("\n")
            if shown.strip() and (not frames or frames[-1][1] != shown):
                frames.append((time.monotonic() - began, shown))
            if is_over:
                break
            time.sleep(LOOK)
    finally:
        ended.kill()
        tmux("kill-server")
    return [(at - frames[0][0], shown) for at, shown in frames]


def runs(line):
    """The pieces of a line: column, text, style."""
    style, column, pieces = {}, 0, []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not codes:
            if part:
                pieces.append((column, part, dict(style)))
                column += len(part)
            continue
        for code in [int(code or 0) for code in codes[1].split(";")]:
            if code == 0:
                style = {}
            elif code == 1:
                style["bold"] = True
            elif code == 2:
                style["dim"] = True
            elif code == 22:
                style.pop("bold", None), style.pop("dim", None)
            elif code == 39:
                style.pop("colour", None)
            elif code in COLOURS:
                style["colour"] = COLOURS[code]
    return pieces


def drawn(row, line):
    """A line of the terminal."""
    texts = []
    for column, text, style in runs(line):
        if not text.strip():
            continue
        column += len(text) - len(text.lstrip())
        text = text.strip()
        colour = style.get("colour", DIM if style.get("dim") else INK)
        bold = ' font-weight="600"' if style.get("bold") else ""
        texts.append(
            f'<text x="{PAD + column * CELL:.0f}" y="{BAR + PAD + row * LINE}" fill="{colour}"{bold} '
            f'textLength="{len(text) * CELL:.0f}" xml:space="preserve">{html.escape(text, quote=False)}</text>'
        )
    return "".join(texts)


def spans(frames, total):
    """Each line with the seconds from and to which it is seen; a line that stays is there once."""
    rows = max(len(shown.split("\n")) for _, shown in frames)
    for row in range(rows):
        begun = None
        for at, (start, shown) in enumerate(frames):
            lines = shown.split("\n")
            line = lines[row] if row < len(lines) else ""
            if begun is None or begun[1] != line:
                if begun is not None:
                    yield row, begun[1], begun[0], start
                begun = (start, line)
        yield row, begun[1], begun[0], total


def picture(frames, columns, title):
    total = frames[-1][0] + REST
    used = max(len(shown.split("\n")) for _, shown in frames)
    width, height = columns * CELL + 2 * PAD, used * LINE + BAR + 2 * PAD - 8
    names, styles, texts = {}, [], []
    for row, line, start, end in spans(frames, total):
        text = drawn(row, line)
        if not text:
            continue
        a, b = round(100 * start / total, 2), round(100 * end / total, 2)
        if (a, b) not in names:
            name = names[(a, b)] = f"f{len(names)}"
            keys = ([f"0%{{visibility:hidden}}"] if a > 0 else []) + [f"{a}%{{visibility:visible}}"]
            keys += [f"{b}%{{visibility:hidden}}"] if b < 100 else []
            styles.append(f"@keyframes {name}{{{''.join(keys)}}}.{name}{{animation-name:{name}}}")
        last = " l" if b >= 100 else ""
        texts.append(f'<g class="f {names[(a, b)]}{last}">{text}</g>')
    style = (
        f".f{{visibility:hidden;animation:{total:.2f}s step-end infinite}}" + "".join(styles)
        + "@media (prefers-reduced-motion:reduce){.f{animation:none}.l{visibility:visible}}"
    )
    dots = "".join(f'<circle cx="{PAD + 6 + 18 * n}" cy="17" r="5.5" fill="{c}"/>' for n, c in enumerate(["#ff5f57", "#febc2e", "#28c840"]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{html.escape(title)}" font-size="{SIZE}" '
        'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',\'Liberation Mono\',monospace">'
        f"<style>{style}</style>"
        f'<rect width="100%" height="100%" rx="10" fill="#0f141b"/>{dots}'
        f'<text x="{width / 2:.0f}" y="21" fill="{DIM}" text-anchor="middle" font-size="12">{html.escape(title)}</text>'
        + "".join(texts) + "</svg>\n"
    )


def main():
    out, columns, lines, command = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    frames = record(columns, lines, command)
    title = " ".join(word.rsplit("/", 1)[-1] for word in command)
    with open(out, "w", encoding="utf-8") as file:
        file.write(picture(frames, columns, title))
    print(f"{out}: {len(frames)} pictures of {frames[-1][0]:.1f} s")


if __name__ == "__main__":
    main()
