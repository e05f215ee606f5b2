"""A new base that keeps as much as it can of the old one's beginning, byte for byte: that much is not read again. Pure.

The engine's state can be restored only where the prompt's beginning is the same. So of the files shown, those at the
front stay where they are, in their old order; where one has changed, its changes go on in the log, as long as they are
few; what has to move stands behind, changed files after unchanged ones, since who was edited is edited again.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile

from qwen_lsp.context.pack import ContextFile, estimate
from qwen_lsp.prompt.hunks import hunks
from qwen_lsp.prompt.ledger import LOG_TOKENS, Ledger, Source, cost

FOLD_TOKENS = LOG_TOKENS // 2  # of hunks that a new base may begin with: as many again, and it is due once more


def kept(
    ledger: Ledger, sources: Mapping[str, Source], n_tokens: int, stays: Callable[[ContextFile], bool]
) -> tuple[ContextFile, ...]:
    """The longest run of excerpts at the ledger's front that a new base may keep.

    Each must stay, all must fit into `n_tokens`, and what has changed in them into FOLD_TOKENS; to tell of what has
    changed in one must be shorter than to show it anew.
    """
    uris = {source.path: uri for uri, source in ledger.first.items()}
    told: set[str] = set()
    found: list[ContextFile] = []
    n, n_hunks = 0, 0
    for file in front(ledger):
        n += cost(file)
        uri, n_changed = uris.get(file.path), 0
        if uri is not None and uri not in told:
            told.add(uri)
            old = ledger.first[uri]
            is_gone = bool(file.text and not old.text)  # it was rewritten, see ledger.py
            n_changed = cost(file) + 1 if is_gone else _changed_tokens(old, sources.get(uri))
        n_hunks += n_changed
        if n > n_tokens or n_hunks > FOLD_TOKENS or n_changed > cost(file) or not stays(file):
            break
        found.append(file)
    return tuple(found)


def front(ledger: Ledger) -> tuple[ContextFile, ...]:
    """The excerpts before the first hunk: what can stay where it is."""
    more = takewhile(lambda entry: isinstance(entry, ContextFile), ledger.log)
    return (*ledger.base, *(entry for entry in more if isinstance(entry, ContextFile)))


def behind(ledger: Ledger, files: Iterable[ContextFile], sources: Mapping[str, Source]) -> tuple[ContextFile, ...]:
    """The order in which a new base shows what it does not keep: as before, then new files, then changed ones."""
    places = {file.path: number for number, file in enumerate(excerpts(ledger))}
    changed = {source.path for uri, source in ledger.first.items() if not _is_same(source, sources.get(uri))}
    return tuple(sorted(files, key=lambda file: (file.path in changed, places.get(file.path, len(places)))))


def as_shown(ledger: Ledger, files: Iterable[ContextFile], sources: Mapping[str, Source]) -> dict[str, Source]:
    """The open texts as a new base shows them: of the files it keeps, as they were."""
    paths = {file.path for file in files}
    old = {uri: source for uri, source in ledger.first.items() if source.path in paths}
    return {**sources, **old}


def excerpts(ledger: Ledger) -> tuple[ContextFile, ...]:
    """All that is shown of files, in base and log."""
    return (*ledger.base, *(entry for entry in ledger.log if isinstance(entry, ContextFile)))


def _is_same(old: Source, new: Source | None) -> bool:
    return new is None or new.text == old.text


def _changed_tokens(old: Source, new: Source | None) -> int:
    """About how long the hunks are that turn the old text into the new one; a closed file changes no more."""
    if new is None or new.text is old.text:
        return 0
    changes = hunks(old.text, new.text)
    return sum(estimate(line) + 1 for change in changes for line in (*change.old, *change.new)) + 8 * len(changes)
