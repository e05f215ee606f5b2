"""The prompt as a log-structured store: a base that is frozen, a log that only grows, a tail at the cursor. Pure.

    base   files of the repository and the open file, as they were at the last rebase
    log    what has changed in them since, as small hunks, in time order
    tail   the lines around the cursor as they are now

The engine keeps its state after the base and after the log, so a key costs the tail and an edit elsewhere costs its
hunk, however long the base is. What the log says is found by comparing: `known` holds the texts that base and log
together describe, and where a text has left that, outside the tail, a hunk is appended. So nothing needs to report
edits, and a missed one can not exist.

Folding the log into a new base (`rebased`) is for quiet moments: see `worn`. Does not know who warms a new base,
nor how a prompt is laid out; `layouts/` does that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qwen_lsp.context.pack import ContextFile, estimate, window_after, window_before
from qwen_lsp.prompt.hunks import Hunk, hunks, patched

LOG_TOKENS = 1024  # a log of so many is no reason for a new base
LOG_SHARE = 4  # nor is one that is a smaller part of the base than one in so many: reading that again costs more
TAIL_BEFORE_TOKENS = 96  # lines before the cursor when the tail is laid out anew; they may grow to twice that
TAIL_AFTER_TOKENS = 48
TAIL_TOKENS = 2 * TAIL_BEFORE_TOKENS + 2 * TAIL_AFTER_TOKENS  # at most, unless a single line is longer


@dataclass(frozen=True, slots=True)
class Source:
    """A text that may be shown, as it is now: lines end by LF. `path` is what the model sees it called."""

    uri: str
    path: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cursor is, as an offset into the source's text."""

    source: Source
    offset: int

    @property
    def before(self) -> str:
        return self.source.text[: self.offset]

    @property
    def after(self) -> str:
        return self.source.text[self.offset :]


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands around the cursor. `before` begins at `start`, on line `line`, which counts from 0."""

    uri: str
    path: str
    start: int
    line: int
    before: str = field(repr=False)
    after: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One window's prompt up to the tail, and the tail of the last request."""

    repository: str
    base: tuple[ContextFile, ...]
    log: tuple[str, ...]
    known: Mapping[str, Source]  # by uri: what base and log together say
    hidden: Mapping[str, tuple[int, int]]  # by uri: how many of the first and the last lines neither holds
    tail: Tail | None = None


def rebased(
    repository: str, context: Sequence[ContextFile], sources: Mapping[str, Source], place: Place, n_tokens: int
) -> Ledger:
    """A ledger with an empty log: `context`, packed already, then up to `n_tokens` of the file at the cursor."""
    here = place.source
    shown, hidden = _excerpt(place, n_tokens)
    files = (*(file for file in context if file.path != here.path), ContextFile(here.path, shown))
    paths = {file.path for file in files}
    known = {uri: source for uri, source in sources.items() if source.path in paths} | {here.uri: here}
    return Ledger(repository, files, (), MappingProxyType(known), MappingProxyType({here.uri: hidden}))


def advanced(ledger: Ledger, sources: Mapping[str, Source], place: Place, n_tokens: int) -> Ledger:
    """The ledger for a request at `place`: the log has grown by what was edited elsewhere, the tail is laid out.

    A file that neither base nor log shows is put into the log, up to `n_tokens` of it.
    """
    here, tail = place.source, _tail(ledger.tail, place)
    known, log, hidden = dict(ledger.known), list(ledger.log), ledger.hidden
    for uri, old in ledger.known.items():
        source = sources.get(uri)
        if source is None or source.text is old.text:
            continue
        changes = [hunk for hunk in hunks(old.text, source.text) if uri != here.uri or not _within(hunk, tail)]
        if changes:
            log += [_rendered(source.path, hunk) for hunk in changes]
            known[uri] = replace(source, text=patched(old.text, changes))
    if here.uri not in known:
        shown, hidden_here = _excerpt(place, n_tokens)
        log.append(f"{here.path}\n{shown.rstrip()}\n")
        known[here.uri], hidden = here, MappingProxyType({**hidden, here.uri: hidden_here})
    if len(log) == len(ledger.log):
        return replace(ledger, tail=tail)
    return Ledger(ledger.repository, ledger.base, tuple(log), MappingProxyType(known), hidden, tail)


def noted(ledger: Ledger, files: Sequence[ContextFile]) -> Ledger:
    """The ledger with more of other files in its log. What it knows of open ones stays: these are parts of files."""
    return replace(ledger, log=(*ledger.log, *(f"{file.path}\n{file.text.rstrip()}\n" for file in files)))


def shows(ledger: Ledger, path: str, name: str) -> bool:
    """Whether base or log has this name in what they show of a file."""
    based = any(file.path == path and name in file.text for file in ledger.base)
    return based or any(entry.startswith(path + "\n") and name in entry for entry in ledger.log)


def worn(ledger: Ledger, place: Place) -> str | None:
    """Why a new base is due, or None."""
    if log_tokens(ledger) > most_log_tokens(ledger):
        return "the log is long"
    above, below = ledger.hidden.get(place.source.uri, (0, 0))
    if place.before.count("\n") < above or place.after.count("\n") < below:
        return "the cursor left what the base shows of its file"
    return None


def most_log_tokens(ledger: Ledger) -> int:
    """How long the log may be before it is folded into a new base."""
    return max(LOG_TOKENS, sum(estimate(file.text) for file in ledger.base) // LOG_SHARE)


def log_tokens(ledger: Ledger) -> int:
    """About how long the log is, rather too long than too short."""
    return sum(map(estimate, ledger.log))


def _tail(last: Tail | None, place: Place) -> Tail:
    """The tail at `place`. It begins where the last one did as long as that is near, so that typing appends."""
    here, before = place.source, place.before
    start = _whole_lines_start(before)
    if last is not None and last.uri == here.uri and before[last.start - 1 : last.start] in ("\n", ""):
        first_line = last.before[: last.before.find("\n") + 1]
        if before.startswith(first_line, last.start) and estimate(before[last.start :]) <= 2 * TAIL_BEFORE_TOKENS:
            start = last.start
    line = before.count("\n", 0, start)
    return Tail(here.uri, here.path, start, line, before[start:], _lines_after(place.after))


def _whole_lines_start(before: str) -> int:
    """Where the tail begins: as many whole lines as fit, the cursor's own at least."""
    start = before.rfind("\n") + 1
    while start:
        earlier = before.rfind("\n", 0, start - 1) + 1
        if estimate(before[earlier:]) > TAIL_BEFORE_TOKENS:
            break
        start = earlier
    return start


def _lines_after(after: str) -> str:
    """The rest of the cursor's line, and whole lines after it."""
    own = after.find("\n") + 1 or len(after)
    return window_after(after[:own], TAIL_AFTER_TOKENS) + window_after(after[own:], TAIL_AFTER_TOKENS)


def _within(hunk: Hunk, tail: Tail) -> bool:
    """Whether the tail shows all that the hunk put in, and the place of what it took out."""
    last = tail.line + (tail.before + tail.after).count("\n")
    return tail.line <= hunk.at and hunk.at + len(hunk.new) <= last


def _rendered(path: str, hunk: Hunk) -> str:
    """A hunk as models know it from patches. Each line is marked, so none can pass for a header."""
    marked = [mark + line for mark, lines in (("-", hunk.old), ("+", hunk.new)) for line in lines]
    return f"@@ {path}:{hunk.at + 1} @@\n" + "".join(line if line.endswith("\n") else line + "\n" for line in marked)


def _excerpt(place: Place, n_tokens: int) -> tuple[str, tuple[int, int]]:
    """The file around the cursor, three quarters of the budget before it; and how many lines above and below it has."""
    before, after = window_before(place.before, n_tokens * 3 // 4), window_after(place.after, n_tokens // 4)
    above = place.before.count("\n", 0, len(place.before) - len(before))
    return before + after, (above, place.after.count("\n", len(after)))
