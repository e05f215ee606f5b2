"""What the bench asks: sequences of prompts in token ids, deterministic from a seed. Pure; knows no engine and no wire.

A trace is what an editor would send while a user types, edits or switches files. Each of its prompts exists once, and
every server gets the same ids: ours and the peers differ only in what they can reuse.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

Ids = tuple[int, ...]
Encode = Callable[[str], list[int]]

SUFFIX_TOKENS = 48  # behind the cursor, in the ledger's tail
BEFORE_TOKENS = 32  # before the cursor's line, in the ledger's tail
HUNK_TOKENS = 32  # one edit elsewhere
TYPING_HUNKS = 2  # in the log while the user types
TAIL_TOKENS = 256  # of each buffer that shares a trunk
LONG_SUFFIX = 4  # the naive layout's suffix is one part in so many of its context
MIN_LINE, MAX_LINE = 24, 60  # characters of the line that is typed


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt. `marks`: offsets that our daemon is told; peers do not hear of them."""

    prompt: Ids
    marks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """`first` puts the server into the state that the user works in; `keys` are what is measured."""

    name: str
    first: tuple[Ask, ...]
    keys: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Controls:
    """Ids of the fill-in-the-middle tokens."""

    prefix: int
    suffix: int
    middle: int


@dataclass(frozen=True, slots=True)
class Material:
    """Text to build prompts from. `line` is typed key by key: the ids of its first 1, 2, 3 ... characters."""

    base: Ids
    spare: Ids  # other text: hunks, suffix, tails
    line: tuple[Ids, ...]
    controls: Controls

    def cut(self, n_tokens: int) -> "Material":
        """The same with a base of `n_tokens`."""
        return Material(self.base[:n_tokens], self.spare, self.line, self.controls)


def material(files: Iterable[str], encode: Encode, controls: Controls, n_tokens: int, seed: int) -> Material:
    """Files in an order drawn from `seed`, up to `n_tokens` of base and as much more as the traces need."""
    texts = list(files)
    random.Random(seed).shuffle(texts)
    wanted = n_tokens + 8 * TAIL_TOKENS
    ids = tuple(islice(chain.from_iterable(map(encode, texts)), wanted))
    if len(ids) < wanted:
        raise ValueError(f"{len(texts)} files have {len(ids)} tokens; {wanted} are needed")
    line = next(line for text in reversed(texts) for line in text.split("\n") if MIN_LINE <= len(line) <= MAX_LINE)
    return Material(ids[:n_tokens], ids[n_tokens:], keystrokes(line, encode), controls)


def keystrokes(line: str, encode: Encode) -> tuple[Ids, ...]:
    """What stands in the line after each key. A key can change the ids before it: tokens merge."""
    return tuple(tuple(encode(line[:n])) for n in range(1, len(line) + 1))


def typing_at_end(m: Material, n_keys: int) -> Trace:
    """A prompt that only grows. Suffix-first joint prompts look so to an engine, too."""
    asks = [Ask(m.base + typed, (len(m.base),)) for typed in m.line[: n_keys + 1]]
    return Trace("end", tuple(asks[:1]), tuple(asks[1:]))


def typing_in_ledger(m: Material, n_keys: int) -> Trace:
    """In the middle of a file, with the ledger's layout: base, log, then the suffix before the prefix."""
    asks = [_ledger(m, _hunks(m, TYPING_HUNKS), typed) for typed in m.line[: n_keys + 1]]
    return Trace("ledger", tuple(asks[:1]), tuple(asks[1:]))


def typing_in_middle(m: Material, n_keys: int) -> Trace:
    """In the middle of a file, as fill-in-the-middle is usually sent: prefix, long suffix, then the answer."""
    at = len(m.base) - len(m.base) // LONG_SUFFIX
    before, after, c = m.base[:at], m.base[at:], m.controls

    def ask(typed: Ids) -> Ask:
        head = (c.prefix, *before)
        return Ask((*head, *typed, c.suffix, *after, c.middle), (len(head),))

    asks = [ask(typed) for typed in m.line[: n_keys + 1]]
    return Trace("middle", tuple(asks[:1]), tuple(asks[1:]))


def edits_in_log(m: Material, n_edits: int) -> Trace:
    """Edits elsewhere, each one a hunk at the end of the log. No prompt is one that the typing trace asked."""
    asks = [_ledger(m, _hunks(m, n), m.line[7]) for n in range(TYPING_HUNKS + 1, TYPING_HUNKS + n_edits + 2)]
    return Trace("edit-log", tuple(asks[:1]), tuple(asks[1:]))


def edits_in_place(m: Material, fractions: Sequence[float]) -> Trace:
    """The same edits made in the base itself, one after the other, each so far into it."""
    asks = [_ledger(m, (), m.line[7])]
    for n, fraction in enumerate(fractions):
        at = min(int(len(m.base) * fraction), len(m.base) - HUNK_TOKENS)
        new = m.spare[n * HUNK_TOKENS : (n + 1) * HUNK_TOKENS]
        m = Material(m.base[:at] + new + m.base[at + HUNK_TOKENS :], m.spare, m.line, m.controls)
        asks.append(_ledger(m, (), m.line[7]))
    return Trace("edit-in-place", tuple(asks[:1]), tuple(asks[1:]))


def switching(m: Material, n_keys: int) -> Trace:
    """Two buffers behind one trunk, a key in each by turns."""
    tails = (m.spare[:TAIL_TOKENS], m.spare[TAIL_TOKENS : 2 * TAIL_TOKENS])
    asks = []
    for typed in m.line[: n_keys // 2 + 1]:
        for tail in tails:
            head = m.base + tail
            asks.append(Ask(head + typed, (len(m.base), len(head))))
    return Trace("switch", tuple(asks[:2]), tuple(asks[2:]))


def _ledger(m: Material, log: Ids, typed: Ids) -> Ask:
    """Base, log and tail, with a mark at each border: behind the base, the log and the suffix, and before the line."""
    c, suffix, before = m.controls, m.spare[-SUFFIX_TOKENS:], m.spare[-SUFFIX_TOKENS - BEFORE_TOKENS : -SUFFIX_TOKENS]
    stable = m.base + log
    head = (*stable, c.prefix, c.suffix, *suffix, c.middle)
    marks = {len(m.base), len(stable), len(head), len(head) + len(before)}
    return Ask((*head, *before, *typed), tuple(sorted(marks)))


def _hunks(m: Material, n: int) -> Ids:
    return m.spare[: n * HUNK_TOKENS]
