"""The prompt's tail: the lines around the cursor as they are now, so laid out that typing appends. Pure.

At a place that the cursor has just come to it is brief, so that the first key there costs little; in a quiet moment it
is laid anew with more around it. Does not know what else a prompt holds.
"""

from dataclasses import dataclass, field

from qwen_lsp.context.pack import BYTES_PER_TOKEN, estimate, window_after

BEFORE_TOKENS = 96  # lines before the cursor when the tail is laid out anew
MOST_TOKENS = 3 * BEFORE_TOKENS  # to which they may grow by typing
WORN_TOKENS = MOST_TOKENS - BEFORE_TOKENS // 2  # laid anew in a quiet moment; sooner would read them more often
AFTER_TOKENS = 48  # of the cursor's own line, and of those behind it
BRIEF_SHARE = 4  # a brief tail has one in so many of these
TAIL_TOKENS = MOST_TOKENS + 2 * AFTER_TOKENS  # at most, unless a single line is longer


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
    is_brief: bool = False

    @property
    def last_line(self) -> int:
        """The line on which it ends."""
        return self.line + self.before.count("\n") + self.after.count("\n")


def laid(last: Tail | None, place: Place, *, is_brief: bool = False) -> Tail:
    """The tail at `place`. It begins where the last one did as long as that is near, so that typing appends.

    `is_brief`: where it begins anew, with little around the cursor. It does so, too, where the text behind the cursor
    is another one: that is read before the lines of the tail, which then are all read anew.
    """
    here, text, offset = place.source, place.source.text, place.offset
    if last is not None and _is_near(last, place):
        after = _lines_after(text, offset, last.is_brief)
        if after == last.after:
            line = text.count("\n", 0, last.start)
            return Tail(here.uri, here.path, last.start, line, text[last.start : offset], after, last.is_brief)
    start = _start(text, offset, BEFORE_TOKENS // BRIEF_SHARE if is_brief else BEFORE_TOKENS)
    after = _lines_after(text, offset, is_brief)
    return Tail(here.uri, here.path, start, text.count("\n", 0, start), text[start:offset], after, is_brief)


def _is_near(last: Tail, place: Place) -> bool:
    """Whether the tail's first line is still there, and not far before the cursor."""
    text, offset, start = place.source.text, place.offset, last.start
    if last.uri != place.source.uri or start > offset or text[start - 1 : start] not in "\n":
        return False
    first_line = last.before[: last.before.find("\n") + 1]
    near = offset - start <= MOST_TOKENS * BYTES_PER_TOKEN and estimate(text[start:offset]) <= MOST_TOKENS
    return near and text.startswith(first_line, start)


def is_worn(tail: Tail) -> bool:
    """Whether it should be laid anew in a quiet moment: it is brief, or long."""
    return tail.is_brief or estimate(tail.before) > WORN_TOKENS


def _start(text: str, offset: int, n_tokens: int) -> int:
    """Where the tail begins: as many whole lines as fit, the cursor's own at least."""
    start = text.rfind("\n", 0, offset) + 1
    while start:
        earlier = text.rfind("\n", 0, start - 1) + 1
        if estimate(text[earlier:offset]) > n_tokens:
            break
        start = earlier
    return start


def _lines_after(text: str, offset: int, is_brief: bool) -> str:
    """The rest of the cursor's line, and whole lines after it."""
    n_tokens = AFTER_TOKENS // BRIEF_SHARE if is_brief else AFTER_TOKENS
    own = text.find("\n", offset) + 1 or len(text)
    rest = text[own : own + 4 * n_tokens]  # more characters than fit: a token has three bytes here
    if len(text) > own + len(rest):
        rest = rest[: rest.rfind("\n") + 1] or rest
    return window_after(text[offset:own], AFTER_TOKENS) + window_after(rest, n_tokens)
