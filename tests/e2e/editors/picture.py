"""A terminal's screen as a PNG: its colours become HTML, a headless Chromium takes the picture.

Knows the escape sequences that tmux writes (`capture-pane -e`), no others, and no editor.
"""

import html
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[3]
UPDATE = "UPDATE_PICTURES"  # set: the pictures of the READMEs are made anew
CELL_PX, LINE_PX, MARGIN_PX = 9, 20, 12
SCREENSHOT_S = 60
LEAST_BYTES, MOST_BYTES = 5_000, 150_000
BACKGROUND, FOREGROUND = "#1e1e2e", "#d8dee9"
# The sixteen colours that a terminal's theme gives names to, and the steps of the other 240.
NAMED = (
    *("#45475a", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#bac2de"),
    *("#6c7086", "#ef7f88", "#a9d48b", "#f0cc8c", "#74bdf7", "#d38ceb", "#6cc6d1", "#ffffff"),
)
CUBE = (0, 95, 135, 175, 215, 255)
_SEQUENCE = re.compile(r"\x1b\[([\d;:]*)m|\x1b[()][A-Z0-9]|[\x0e\x0f]")


@dataclass(frozen=True, slots=True)
class Style:
    """How characters look."""

    colour: str = ""
    ground: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False

    def css(self) -> str:
        colour, ground = self.colour or FOREGROUND, self.ground
        if self.reverse:
            colour, ground = ground or BACKGROUND, colour
        rules = [f"color:{colour}"]
        rules += [f"background:{ground}"] if ground else []
        rules += ["font-weight:bold"] if self.bold else []
        rules += ["opacity:.6"] if self.dim else []
        rules += ["font-style:italic"] if self.italic else []
        rules += ["text-decoration:underline"] if self.underline else []
        return ";".join(rules)


def page(screen: str) -> str:
    """The screen as HTML, on the colour that most of it has."""
    style, rows, grounds = Style(), [], Counter[str]()
    for line in screen.rstrip("\n").split("\n"):
        runs = list(_runs(line, style))
        style = runs[-1][1]
        for text, look in runs:
            grounds[look.ground or BACKGROUND] += len(text)
        row = "".join(f'<span style="{look.css()}">{html.escape(text)}</span>' for text, look in runs)
        rows.append(f"<div>{row}</div>")
    [(margin, _)] = grounds.most_common(1)
    css = (
        f"body{{margin:0;background:{margin};font:15px 'DejaVu Sans Mono',monospace}}"
        f"div{{white-space:pre;height:{LINE_PX}px;line-height:{LINE_PX}px}}main{{padding:{MARGIN_PX}px}}span{{display:inline-block}}"
    )
    head = f'<meta charset="utf-8"><style>{css}</style>'
    return f"<!doctype html>{head}<main>{''.join(rows)}</main>"


def _runs(line: str, style: Style) -> Iterator[tuple[str, Style]]:
    """Texts of one look; an empty one at the end carries the look into the next line."""
    at = 0
    for found in _SEQUENCE.finditer(line):
        if line[at : found.start()]:
            yield line[at : found.start()], style
        at = found.end()
        if found[1] is not None:
            style = styled(style, [int(code or 0) for code in re.split("[;:]", found[1])])
    yield line[at:], style


def styled(style: Style, codes: Sequence[int]) -> Style:
    """The look after a sequence's numbers."""
    rest = list(codes)
    while rest:
        code = rest.pop(0)
        if code == 0:
            style = Style()
        elif code in (38, 48):
            colour = _colour(rest)
            style = replace(style, colour=colour) if code == 38 else replace(style, ground=colour)
        elif code in _SWITCHES:
            style = replace(style, **_SWITCHES[code])
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, colour=NAMED[code - 30 if code < 90 else code - 82])
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style = replace(style, ground=NAMED[code - 40 if code < 100 else code - 92])
    return style


_SWITCHES: dict[int, dict[str, Any]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"reverse": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"reverse": False},
    39: {"colour": ""},
    49: {"ground": ""},
}


def _colour(rest: list[int]) -> str:
    """The colour that the next numbers name; they are taken away."""
    kind = rest.pop(0) if rest else 0
    if kind == 2 and len(rest) >= 3:
        red, green, blue, rest[:] = rest[0], rest[1], rest[2], rest[3:]
        return f"#{red:02x}{green:02x}{blue:02x}"
    number = rest.pop(0) if rest else 0
    if number < 16:
        return NAMED[number]
    if number >= 232:
        return f"#{8 + 10 * (number - 232):02x}" + f"{8 + 10 * (number - 232):02x}" * 2
    return "#" + "".join(f"{CUBE[(number - 16) // step % 6]:02x}" for step in (36, 6, 1))


def taken(screen: str, scratch: Path, name: str) -> Path:
    """The picture, in `scratch`; where UPDATE_PICTURES is set also at `name` in the checkout."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed to take the picture")
    rows = screen.rstrip("\n").split("\n")
    n_columns = max(len(_SEQUENCE.sub("", row)) for row in rows)
    source, target = scratch / "screen.html", scratch / "screen.png"
    source.write_text(page(screen), "utf-8")
    size = f"{n_columns * CELL_PX + 2 * MARGIN_PX},{len(rows) * LINE_PX + 2 * MARGIN_PX}"
    command = [
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={scratch / 'chromium'}",
    ]
    command += [f"--window-size={size}", f"--screenshot={target}", source.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=SCREENSHOT_S)
    assert LEAST_BYTES < target.stat().st_size < MOST_BYTES
    if UPDATE in os.environ:
        (CHECKOUT / name).parent.mkdir(exist_ok=True)
        shutil.copy(target, CHECKOUT / name)
    return target
