"""How the page, the terminal and the recommendation write numbers. Computes none of them."""

from qwen_lsp.eval.score import Interval


def share(value: float | None) -> str:
    """Of a whole, in percent; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f} %"


def ends(found: Interval) -> str:
    """Where the true share lies."""
    return f"({100 * found.low:.1f} … {100 * found.high:.1f})"


def points(value: float) -> str:
    """Percent points, with a sign and a true minus."""
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")


def point_ends(found: Interval) -> str:
    """Where the true difference lies."""
    return f"({points(found.low)} … {points(found.high)})"


def ms(value: float) -> str:
    return f"{value:,.0f} ms"


def count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def number(value: float) -> str:
    """With one decimal where that says something."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"
