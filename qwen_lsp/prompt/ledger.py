"""The prompt as a log-structured store: a base that is frozen, a log that only grows, a tail at the cursor. Pure.

    base   excerpts of files, as they were when they were put here
    log    what has changed in them since, as small hunks in time order, and excerpts that came later
    tail   the lines around the cursor as they are now (tail.py)

The engine keeps its state after the base and after the log, so a key costs the tail and an edit elsewhere costs its
hunk, however long the base is. What the log says is found by comparing: `known` holds the texts that base and log
together describe, and where a text has left that, outside the tail, a hunk is appended. So nothing needs to report
edits, and a missed one can not exist. Of a file that neither shows, nothing is said but the tail.

What a key costs here does not depend on what base and log hold: sums are kept, and texts compared by identity first.
Folding the log into a new base (rebase.py) is for quiet moments. Does not know who reads a ledger ahead, nor how a
prompt is laid out; `layouts/` does that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qwen_lsp.context.pack import ContextFile, estimate, window_after, window_before
from qwen_lsp.prompt.hunks import Hunk, hunks, patched, span
from qwen_lsp.prompt.tail import Place, Source, Tail, laid

__all__ = ["Entry", "Ledger", "Place", "Source", "Tail", "advanced", "appended", "based", "due", "excerpt", "settled"]

LOG_TOKENS = 1024  # hunks of so many are no reason for a new base
REWRITTEN_TOKENS = LOG_TOKENS // 2  # of hunks of one file at once: it is shown anew, in a quiet moment
LOG_SHARE = 4  # nor are those that are a smaller part of what is shown than one in so many: folding them costs more
NOTHING: Mapping[str, "Source"] = MappingProxyType({})

type Entry = str | ContextFile  # a hunk, or what is shown of a file
type Hidden = tuple[int, int]  # how many of a file's first and last lines an excerpt leaves out


@dataclass(frozen=True, slots=True)
class Ledger:
    """One window's prompt up to the tail, and the tail of the last request.

    `first`: the texts of open files as their excerpts show them, `known`: what base and log together say, both by
    URI. `hidden`: what the excerpts leave out that show a file around a place, or all of it.
    """

    repository: str
    base: tuple[ContextFile, ...] = ()
    log: tuple[Entry, ...] = ()
    first: Mapping[str, Source] = field(default=NOTHING, repr=False)
    known: Mapping[str, Source] = field(default=NOTHING, repr=False)
    hidden: Mapping[ContextFile, Hidden] = field(default=MappingProxyType({}), repr=False)
    tail: Tail | None = None
    n_shown: int = 0  # tokens of excerpts, in base and log
    n_hunks: int = 0  # tokens of hunks

    @property
    def is_empty(self) -> bool:
        return not self.base and not self.log


def based(
    repository: str,
    files: Sequence[ContextFile],
    sources: Mapping[str, Source],
    hidden: Mapping[ContextFile, Hidden] = MappingProxyType({}),
) -> Ledger:
    """A ledger with these files and an empty log. `sources`: the open texts as the files show them."""
    return replace(appended(Ledger(repository), files, sources, hidden), base=tuple(files), log=())


def advanced(ledger: Ledger, sources: Mapping[str, Source], place: Place, *, is_brief: bool = False) -> Ledger:
    """The ledger for a request at `place`: the log has grown by what was edited elsewhere, the tail is laid out."""
    tail = laid(ledger.tail, place, is_brief=is_brief)
    return replace(_logged(ledger, sources, tail), tail=tail)


def settled(ledger: Ledger, sources: Mapping[str, Source]) -> Ledger:
    """The ledger with everything in its log that its files' texts have come to, and no tail."""
    return replace(_logged(ledger, sources, None), tail=None)


def _logged(ledger: Ledger, sources: Mapping[str, Source], tail: Tail | None) -> Ledger:
    """What the tail shows need not be told."""
    log: list[Entry] = []
    known: dict[str, Source] = {}
    n_hunks = 0
    for uri, old in ledger.known.items():
        source = sources.get(uri)
        if source is None or source.text is old.text:
            continue
        changes = _untold(old.text, source.text, tail if tail is not None and uri == tail.uri else None)
        if changes:
            is_long = sum(len(hunk.old) + len(hunk.new) for hunk in changes) > REWRITTEN_TOKENS  # each line takes one
            told = [] if is_long else [_rendered(source.path, hunk) for hunk in changes]
            n_told = sum(map(estimate, told))
            if is_long or n_told > REWRITTEN_TOKENS:
                return _logged(_without(ledger, old), sources, tail)
            log += told
            n_hunks += n_told
            known[uri] = replace(source, text=patched(old.text, changes))
    if not log:
        return ledger
    return replace(
        ledger,
        log=(*ledger.log, *log),
        known=MappingProxyType({**ledger.known, **known}),
        n_hunks=ledger.n_hunks + n_hunks,
    )


def _untold(before: str, after: str, tail: Tail | None) -> tuple[Hunk, ...]:
    """What has changed, but for what the tail shows: all of it while somebody types there, and no line is aligned."""
    around = span(before, after)
    if tail is None or around is None:
        return hunks(before, after)
    if _within(around, tail, after):
        return ()
    return tuple(hunk for hunk in hunks(before, after) if not _within(hunk, tail, after))


def _without(ledger: Ledger, old: Source) -> Ledger:
    """A file that is another one now: nothing is known of it, and no new base keeps what was shown of it."""
    return replace(
        ledger,
        known=MappingProxyType({uri: each for uri, each in ledger.known.items() if uri != old.uri}),
        first=MappingProxyType({**ledger.first, old.uri: replace(old, text="")}),
        hidden=MappingProxyType({file: ends for file, ends in ledger.hidden.items() if file.path != old.path}),
    )


def appended(
    ledger: Ledger,
    files: Sequence[ContextFile],
    sources: Mapping[str, Source],
    hidden: Mapping[ContextFile, Hidden] = MappingProxyType({}),
) -> Ledger:
    """The ledger with more excerpts in its log; nothing before them moves. `hidden`: what they leave out of open files.

    What is known of open files stays; a file that nothing was known of is known from now on, as `sources` have it.
    """
    texts = {source.path: source.text for source in sources.values()}
    paths = {file.path for file in files}
    whole = {file: (0, 0) for file in files if texts.get(file.path) == file.text}
    new = {uri: each for uri, each in sources.items() if each.path in paths and uri not in ledger.known}
    return replace(
        ledger,
        log=(*ledger.log, *files),
        first=MappingProxyType({**new, **ledger.first}),
        known=MappingProxyType({**ledger.known, **new}),
        hidden=MappingProxyType({**ledger.hidden, **whole, **hidden}),
        n_shown=ledger.n_shown + sum(map(cost, files)),
    )


def due(ledger: Ledger, place: Place, *, stays: bool = True) -> str | None:
    """Why the ledger should show more, or have a new base; None where it need not. `stays`: as in `grown`."""
    if ledger.is_empty:
        return "nothing is shown yet"
    if ledger.n_hunks > most_hunk_tokens(ledger):
        return "the log is long"
    if stays and not covers(ledger, place):
        return "the cursor is where nothing of its file is shown"
    return None


def covers(ledger: Ledger, place: Place) -> bool:
    """Whether an excerpt shows the lines at the cursor."""
    seen = {ends for file, ends in ledger.hidden.items() if file.path == place.source.path}
    if not seen or (0, 0) in seen:
        return bool(seen)
    text, offset = place.source.text, place.offset
    above, below = text.count("\n", 0, offset), text.count("\n", offset)
    return any(above >= ends[0] and below >= ends[1] for ends in seen)


def most_hunk_tokens(ledger: Ledger) -> int:
    """How long the hunks may become before they are folded into a new base."""
    return max(LOG_TOKENS, ledger.n_shown // LOG_SHARE)


def excerpt(place: Place, n_tokens: int) -> tuple[ContextFile, Hidden]:
    """The file around the cursor, three quarters of the budget before it, and what that leaves out."""
    before, after = window_before(place.before, n_tokens * 3 // 4), window_after(place.after, n_tokens // 4)
    above = place.before.count("\n", 0, len(place.before) - len(before))
    return ContextFile(place.source.path, before + after), (above, place.after.count("\n", len(after)))


def cost(file: ContextFile) -> int:
    """About how many tokens an excerpt takes, rather too many than too few."""
    return estimate(file.path) + estimate(file.text)


def _within(hunk: Hunk, tail: Tail, text: str) -> bool:
    """Whether the tail shows all that the hunk put in, and the place of what it took out."""
    shows_end = tail.start + len(tail.before) + len(tail.after) == len(text)  # its last line may have no end yet
    return tail.line <= hunk.at and (shows_end or hunk.at + len(hunk.new) <= tail.last_line)


def _rendered(path: str, hunk: Hunk) -> str:
    """A hunk as models know it from patches. Each line is marked, so none can pass for a header."""
    marked = [mark + line for mark, lines in (("-", hunk.old), ("+", hunk.new)) for line in lines]
    return f"@@ {path}:{hunk.at + 1} @@\n" + "".join(line if line.endswith("\n") else line + "\n" for line in marked)
