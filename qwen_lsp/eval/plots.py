"""The report's pictures as SVG text. The only module that knows matplotlib, which is the extra `eval`."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from qwen_lsp.eval.score import Interval

WIDTH_IN = 6.0
ROW_IN = 0.42
LONG_MS = 3_000  # beyond it people count in seconds
# Stand-ins: the page's own colours take their places, so that a picture is as light or dark as the page.
TEXT, MARK, SOFT = "#010203", "#010204", "#010205"
_COLOURS = {TEXT: "currentColor", MARK: "var(--mark)", SOFT: "var(--soft)"}


def is_available() -> bool:
    """Whether pictures can be drawn here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def intervals(rows: Sequence[tuple[str, Interval]], title: str) -> str:
    """Shares with their intervals, one row each, from the top."""
    with _styled():
        figure, axes = _axes(len(rows))
        for at, (_, found) in enumerate(rows):
            ends = [100 * found.low, 100 * found.high]
            # Zero lies on the axes' border, which would cut the mark in half.
            axes.plot(ends, [at, at], color=MARK, linewidth=2.5, solid_capstyle="round", clip_on=False)
            axes.plot([100 * found.mean], [at], "o", color=MARK, markersize=6, clip_on=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_xlim(0, max(1.0, *(100 * found.high for _, found in rows)) * 1.08)
        axes.set_xlabel(title)
        return _svg(figure)


def times(rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    """How the times of each row are spread, given in milliseconds: the box holds half of them, the whiskers 95 %."""
    longest = max((value for _, values in rows for value in values), default=0.0)
    unit, per_ms = ("seconds", 1e-3) if longest > LONG_MS else ("milliseconds", 1.0)
    with _styled():
        figure, axes = _axes(len(rows))
        soft = {"color": SOFT}
        axes.boxplot(
            [[value * per_ms for value in values] for _, values in rows],
            orientation="horizontal",
            positions=range(len(rows)),
            whis=(2.5, 97.5),
            showfliers=False,
            medianprops={"color": MARK, "linewidth": 2},
            boxprops=soft,
            whiskerprops=soft,
            capprops=soft,
        )
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit} from the question to the end of the answer")
        return _svg(figure)


def _styled() -> AbstractContextManager[None]:
    import matplotlib

    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), TEXT)
    fixed = {"svg.hashsalt": "qwen-lsp", "svg.fonttype": "none", "font.size": 9.5}
    return matplotlib.rc_context({**colours, **fixed})


def _axes(n_rows: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 0.8 + ROW_IN * n_rows), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x", color=SOFT, alpha=0.25)
    axes.tick_params(axis="y", length=0, pad=8)  # a mark at zero reaches over the border
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    """Only the `svg` element; the same bytes for the same numbers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, colour in _COLOURS.items():
        text = text.replace(stand_in, colour)
    return text
