"""A change in words and hunks, as Markdown for people. Pure."""

from difflib import unified_diff

from qwen_lsp.features.refactor.values import FileChange, Refactored
from qwen_lsp.text.fences import fenced

MAX_DIFF_LINES = 400  # of one file


def report(title: str, done: Refactored) -> str:
    """What changes, what was checked, what it took."""
    lines = [f"# {title}", ""]
    lines += [f"- {_headline(change)}" for change in done.changes]
    lines += [f"- passed: {check}" for check in done.passed]
    lines += [f"- new finding: {finding}" for finding in done.findings]
    lines += [f"- not checked: {done.unchecked}"] if done.unchecked else []
    lines += [f"- left alone: {done.plan.leaves}"] if done.plan.leaves else []
    rounds = "once" if done.n_rounds == 1 else f"in {done.n_rounds} rounds"
    lines += [f"- written {rounds}, {done.usage.completion_tokens:,} tokens", ""]
    for change in done.changes:
        lines += [f"## {change.path}", "", fenced(diff(change), "diff"), ""]
    return "\n".join(lines)


def diff(change: FileChange) -> str:
    """One file's hunks, as `patch` takes them."""
    old, new = (_lines(text) for text in (change.before, change.after))
    names = [
        f"{side}/{path}" if text is not None else "/dev/null"
        for side, path, text in (("a", change.old_path, change.before), ("b", change.path, change.after))
    ]
    rows = list(unified_diff(old, new, names[0], names[1], lineterm=""))
    cut = [f"… {len(rows) - MAX_DIFF_LINES} more lines"] if len(rows) > MAX_DIFF_LINES else []
    return "\n".join([*rows[:MAX_DIFF_LINES], *cut])


def _lines(text: str | None) -> list[str]:
    return (text or "").replace("\r\n", "\n").split("\n") if text else []


def _headline(change: FileChange) -> str:
    if change.before is None:
        return f"creates {change.path}"
    if change.after is None:
        return f"deletes {change.old_path}"
    return f"changes {change.path}" + (f", which was {change.old_path}" if change.path != change.old_path else "")
