"""A change in words and hunks, as Markdown for people. Pure."""

from difflib import unified_diff

from qwen_lsp.features.refactor.values import FileChange, Refactored
from qwen_lsp.text.fences import fenced, inert

MAX_DIFF_LINES = 400  # of one file


def report(title: str, done: Refactored) -> str:
    """What changes, what was checked, what it took."""
    lines = [f"# {title}"]
    lines += [f"- {_headline(change)}" for change in done.changes]
    lines += [f"- passed: {check}" for check in done.passed]
    lines += [f"- fails as before, with nothing new: {check}" for check in done.failing]
    lines += [f"- new finding: {finding}" for finding in done.findings]
    lines += [f"- not checked: {done.unchecked}"] if done.unchecked else []
    lines += [f"- left alone: {done.plan.leaves}"] if done.plan.leaves else []
    rounds = "once" if done.n_rounds == 1 else f"in {done.n_rounds} rounds"
    lines += [f"- written {rounds}, {done.usage.completion_tokens:,} tokens"]
    lines = [inert(" ".join(line.split())) for line in lines]
    lines = [lines[0], "", *lines[1:], ""]
    for change in done.changes:
        lines += [f"## {change.path}", "", fenced(_shortened(diff(change)), "diff"), ""]
    return "\n".join(lines)


def diff(change: FileChange) -> str:
    """One file's change as git writes it, and as `git apply` takes it: with renames, line ends, and a missing last one.

    Empty where nothing is different.
    """
    head = [f"diff --git a/{change.old_path} b/{change.path}"]
    if change.before is None:
        head.append("new file mode 100644")
    elif change.after is None:
        head.append("deleted file mode 100644")
    elif change.old_path != change.path:
        head += [f"rename from {change.old_path}", f"rename to {change.path}"]
    old = f"a/{change.old_path}" if change.before is not None else "/dev/null"
    new = f"b/{change.path}" if change.after is not None else "/dev/null"
    rows = unified_diff(_lines(change.before), _lines(change.after), old, new)
    hunks = [row if row.endswith("\n") else f"{row}\n{_NO_END}\n" for row in rows]
    return "\n".join(head) + "\n" + "".join(hunks) if hunks or len(head) > 1 else ""


_NO_END = "\\ No newline at end of file"


def _shortened(text: str) -> str:
    rows = text.rstrip("\n").split("\n")
    cut = [f"… {len(rows) - MAX_DIFF_LINES} more lines"] if len(rows) > MAX_DIFF_LINES else []
    return "\n".join(row.rstrip("\r") for row in (*rows[:MAX_DIFF_LINES], *cut))


def _lines(text: str | None) -> list[str]:
    """With their ends; a lone CR ends none, as git has it."""
    rows = (text or "").split("\n")
    return [f"{row}\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])


def _headline(change: FileChange) -> str:
    if change.before is None:
        return f"creates {change.path}"
    if change.after is None:
        return f"deletes {change.old_path}"
    return f"changes {change.path}" + (f", which was {change.old_path}" if change.path != change.old_path else "")
