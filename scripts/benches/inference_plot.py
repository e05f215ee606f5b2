"""Growth curves as PNG: what a key costs over the length of the context, tokens and time to the first one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes

from scripts.benches.inference_figures import Row

TRACES = {
    "end": ("at the end", "o"),
    "ledger": ("in the middle, ledger", "s"),
    "middle": ("in the middle, prefix first", "^"),
    "edit-log": ("after an edit, in the log", "D"),
    "edit-in-place": ("after an edit, in place", "v"),
}
COLORS = {"ours": "tab:green", "llama-server": "tab:red", "mlx_lm.server": "tab:orange"}


def curves(table: Sequence[Row], folder: Path) -> list[Path]:
    """One figure per question, one panel per engine. Returns the files."""
    matplotlib.use("Agg")
    questions: dict[str, tuple[str, Callable[[Row], float]]] = {
        "tokens": ("tokens through the model per key, answer included (median)", lambda row: row.evaluated),
        "first-token": ("first token, ms (median)", lambda row: row.first_token_s * 1000),
    }
    return [_figure(table, folder / f"{name}.png", label, figure) for name, (label, figure) in questions.items()]


def _figure(table: Sequence[Row], path: Path, label: str, figure: Callable[[Row], float]) -> Path:
    engines = list(dict.fromkeys(row.engine for row in table))
    size = (7 * len(engines), 6.5)
    drawn, panels = pyplot.subplots(1, len(engines), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for engine, axes in zip(engines, panels[0], strict=True):
        _panel(axes, [row for row in table if row.engine == engine and row.step == "key"], figure)
        axes.set_title(f"{engine}, embedded model")
        axes.set_xlabel("tokens of context")
    panels[0][0].set_ylabel(label)
    drawn.savefig(path, dpi=110)
    pyplot.close(drawn)
    return path


def _panel(axes: Axes, table: Sequence[Row], figure: Callable[[Row], float]) -> None:
    for server, trace in dict.fromkeys((row.server, row.trace) for row in table if row.trace in TRACES):
        points = sorted((row.context, figure(row)) for row in table if (row.server, row.trace) == (server, trace))
        name, marker = TRACES[trace]
        line = "-" if server == "ours" else "--"
        xs, ys = [context for context, _ in points], [value for _, value in points]
        axes.plot(xs, ys, line, marker=marker, color=COLORS[server], alpha=0.8, label=f"{server}: {name}")
    contexts = sorted({row.context for row in table})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(contexts, [f"{context / 1000:g}k" for context in contexts])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
