"""The report's pictures as SVG text. The only module that knows matplotlib, which is the extra `eval`."""

import io
from collections.abc import Sequence

from qwen_lsp.eval.score import Interval

WIDTH_IN = 7.0
ROW_IN = 0.42
BLUE, GREY = "#2563a8", "#8a8f98"


def is_available() -> bool:
    """Whether pictures can be drawn here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def intervals(rows: Sequence[tuple[str, Interval]], title: str) -> str:
    """Shares with their intervals, one row each, from the top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 1.0 + ROW_IN * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for at, (_, found) in enumerate(rows):
        axes.plot([100 * found.low, 100 * found.high], [at, at], color=BLUE, linewidth=2.5, solid_capstyle="round")
        axes.plot([100 * found.mean], [at], "o", color=BLUE, markersize=6)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.margins(y=0.15)
    axes.grid(axis="x", color=GREY, alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(title)
    return _svg(figure)


def times(rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    """How the times of each row are spread, in milliseconds: the box holds half of them, the whiskers 95 %."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 1.0 + ROW_IN * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.boxplot(
        [list(values) for _, values in rows],
        orientation="horizontal",
        whis=(2.5, 97.5),
        showfliers=False,
        medianprops={"color": BLUE, "linewidth": 2},
        boxprops={"color": GREY},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
    )
    axes.set_yticks(range(1, len(rows) + 1), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=GREY, alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("milliseconds from the question to the end of the answer")
    return _svg(figure)


def _svg(figure: object) -> str:
    """Only the `svg` element; the same bytes for the same numbers."""
    import matplotlib
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "qwen-lsp", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
