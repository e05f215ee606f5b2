"""Drafts without a draft model: what the answer may go on with, guessed from texts that it may be copying.

Token ids in, drafts out. Knows no engine, no text and no clock: whether a draft was right is told by `accept`, and
what a step cost is `draft_gate`'s business. A draft is only a guess; the engine keeps what the model draws itself.

Token runs are held as strings with one code point per id: the interpreter's substring search goes through 30,000
tokens in tens of microseconds, where an index of them takes tens of milliseconds to build.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_DRAFT = 32  # tokens; beyond that a miss costs more than a longer copy saves
_FIRST_LENGTH = 8  # tokens of the first draft
_MIN_LENGTH = 6
_PROVEN = 8  # tokens that agreed in a row: the answer copies from here, and what led here was an edit
_TAILS = (8, 6, 4, 3, 2, 1)  # tokens of the answer to find again in the prediction, surest first
_REACH = (0, 16, 64, 256, 1024)  # how far from home a tail of so many tokens is believed; longer ones anywhere
_MAX_EDIT = 8  # tokens on either side of an edit that is remembered as a replacement
_LOOKUP_TAILS = (8, 6, 4, 3)
_LOOKUP_AFTER = 4  # tokens of the answer: a job that ends before never pays for the look-up


class Drafter:
    """Guesses for one answer. `prediction` is text that the answer will largely repeat; it may be empty.

    The order of calls is `draft`, then `accept` with what was drawn; `accept` alone is fine. `end_ids` are never
    drafted.
    """

    def __init__(self, prompt: Sequence[int], prediction: Sequence[int], end_ids: frozenset[int] = frozenset()) -> None:
        self._copy = _Copy(as_text(prediction))
        self._lookup = _Lookup(prompt)
        self._end_ids = end_ids
        self._length = _FIRST_LENGTH
        self._draft: tuple[int, ...] = ()

    def draft(self, max_tokens: int) -> tuple[int, ...]:
        """What may come next; nothing where there is no good guess."""
        self._draft = ()
        if max_tokens < 1:
            return ()
        guess = self._copy.ahead(min(max_tokens, self._length)) or self._lookup.ahead(min(max_tokens, self._length))
        tokens = tuple(map(ord, guess))
        end = next((i for i, token in enumerate(tokens) if token in self._end_ids), len(tokens))
        self._draft = tokens[:end]
        return self._draft

    def accept(self, tokens: Sequence[int]) -> None:
        """What the model drew since the last call, in order: the draft as far as it was right, then one more."""
        if self._draft:
            n_right = _n_common(self._draft, tokens)
            everything = n_right == len(self._draft)
            self._length = min(2 * self._length, MAX_DRAFT) if everything else max(n_right, _MIN_LENGTH)
            self._draft = ()
        text = as_text(tokens)
        self._copy.accept(text)
        self._lookup.accept(text)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a teacher-forced answer would have cost. `n_passes` counts the one that draws the first token."""

    n_tokens: int
    n_passes: int
    n_drafted: int
    n_accepted: int

    @property
    def tokens_per_pass(self) -> float:
        return self.n_tokens / self.n_passes if self.n_passes else 0.0


def replay(
    answer: Sequence[int], prompt: Sequence[int], prediction: Sequence[int], max_draft: int = MAX_DRAFT
) -> Replayed:
    """Draft along an answer that is known already, as if a model drew just that."""
    drafter = Drafter(prompt, prediction)
    n_done, n_passes, n_drafted, n_accepted = min(1, len(answer)), min(1, len(answer)), 0, 0
    drafter.accept(answer[:n_done])
    while n_done < len(answer):
        draft = drafter.draft(min(max_draft, len(answer) - n_done - 1))
        n_right = _n_common(draft, answer[n_done : n_done + len(draft)])
        drafter.accept(answer[n_done : n_done + n_right + 1])
        n_done += n_right + 1
        n_passes += 1
        n_drafted += len(draft)
        n_accepted += n_right
    return Replayed(len(answer), n_passes, n_drafted, n_accepted)


def as_text(tokens: Sequence[int]) -> str:
    """One code point per id. Ids end far below Unicode's 1,114,112; lone surrogates do no harm, nothing encodes it."""
    return "".join(map(chr, tokens))


def _n_common(a: Sequence[object], b: Sequence[object]) -> int:
    """Elements that both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@dataclass(frozen=True, slots=True)
class _Guess:
    """One token ahead, where the pointer stands after it, and the replacement that it comes from, or ''."""

    token: str
    then: int
    replaces: str


class _Copy:
    """A pointer that walks along the prediction while the answer copies it, and finds its way back after an edit.

    `_home` is where the answer last left the prediction for sure: it stays until a new place is proven, so that a
    false jump costs one draft and not the way back. A place is believed by how many tokens before it agree, the more
    of them the farther it is from home, and one more for each jump that failed since.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._answer = ""
        self._at: int | None = 0 if text else None
        self._trust = 0  # tokens before the pointer that agreed with the answer
        self._n_copied = 0  # of those, since the pointer was put where it is
        self._home = 0
        self._left = 0  # length of the answer when it left home
        self._strikes = 0
        self._edit: tuple[str, str] = ("", "")  # what was replaced by what on the way to this place, if it proves right
        self._replacements: dict[str, tuple[str, str]] = {}  # by the first token replaced
        self._ahead: list[_Guess] = []

    def ahead(self, n_tokens: int) -> str:
        """The prediction from the pointer on, with the edits seen so far made again; short where trust is low."""
        if self._at is None and self._text:
            self._join()
        self._ahead = self._walk(min(n_tokens, _MIN_LENGTH + 2 * self._trust))
        return "".join([guess.token for guess in self._ahead])

    def _walk(self, n_tokens: int) -> list[_Guess]:
        guesses: list[_Guess] = []
        at = len(self._text) if self._at is None else self._at
        while len(guesses) < n_tokens and at < len(self._text):
            first = self._text[at]
            old, new = self._replacements.get(first, ("", ""))
            if old and len(guesses) + len(new) <= n_tokens and self._text.startswith(old, at):
                guesses += [_Guess(token, at, first) for token in new[:-1]]
                at += len(old)
                guesses.append(_Guess(new[-1], at, first))
            else:
                at += 1
                guesses.append(_Guess(first, at, ""))
        return guesses

    def accept(self, drawn: str) -> None:
        """Follow what was drawn as far as it agrees. Where it joins again is looked for when a draft is wanted."""
        if not self._text:
            return
        while drawn and self._at is not None:
            guesses = self._ahead or self._walk(len(drawn))
            self._ahead = []
            n_right = _n_common([guess.token for guess in guesses], drawn)
            if n_right:
                self._follow(guesses[n_right - 1].then, drawn[:n_right])
                drawn = drawn[n_right:]
            if drawn and n_right < max(1, len(guesses)):
                self._part(guesses[n_right].replaces if guesses else "")
        self._ahead = []
        self._answer += drawn

    def _follow(self, at: int, drawn: str) -> None:
        self._at = at
        self._answer += drawn
        self._trust += len(drawn)
        self._n_copied += len(drawn)
        if self._trust >= _PROVEN:
            old, new = self._edit
            if old and new and max(len(old), len(new)) <= _MAX_EDIT:
                self._replacements[old[0]] = (old, new)
            self._edit = ("", "")

    def _part(self, replacement: str) -> None:
        """The answer goes its own way."""
        self._replacements.pop(replacement, None)
        if self._trust >= _PROVEN and self._at is not None:
            self._home, self._left, self._strikes = self._at, len(self._answer), 0
        elif self._n_copied == 0:
            self._strikes += 1
        self._at = None

    def _join(self) -> None:
        """Put the pointer behind the surest place where the answer's tail stands in the prediction."""
        for k in _TAILS:
            sure = k - self._strikes
            if sure < 1 or k > len(self._answer):
                continue
            at = self._nearest(self._answer[-k:], _REACH[sure] if sure < len(_REACH) else len(self._text))
            if at is not None:
                self._put(at, k)
                return

    def _put(self, at: int, n_agree: int) -> None:
        self._at, self._trust, self._n_copied = at, n_agree, 0
        self._edit = self._text[self._home : at - n_agree], self._answer[self._left : len(self._answer) - n_agree]

    def _nearest(self, tail: str, reach: int) -> int | None:
        """Where `tail` ends, ahead of home first: most edits insert, delete or replace, few move text up."""
        k = len(tail)
        n_own = len(self._answer) - self._left
        found = self._text.find(tail, max(0, self._home - k + 1), self._home + n_own + reach + k)
        if found < 0:
            found = self._text.rfind(tail, max(0, self._home - reach - k), self._home)
        return None if found < 0 else found + k


class _Lookup:
    """The latest place in the answer, else in the prompt, that reads like the end of the answer."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._prompt_ids = prompt
        self._prompt: str | None = None  # made at the first look-up: most completions never need one
        self._n_lead = min(len(prompt), _LOOKUP_TAILS[0])
        self._recent = as_text(prompt[len(prompt) - self._n_lead :])  # and the answer: a match may begin before it

    def accept(self, drawn: str) -> None:
        self._recent += drawn

    def ahead(self, n_tokens: int) -> str:
        if n_tokens < 1 or len(self._recent) - self._n_lead < _LOOKUP_AFTER:
            return ""
        if self._prompt is None:
            self._prompt = as_text(self._prompt_ids)
        if not self._after(_LOOKUP_TAILS[-1], 1):
            return ""  # the shortest tail is nowhere, so no longer one is
        return next(filter(None, (self._after(k, n_tokens) for k in _LOOKUP_TAILS)), "")

    def _after(self, k: int, n_tokens: int) -> str:
        """What followed the last `k` tokens when they came before; a text that repeats itself goes on doing so."""
        recent, prompt = self._recent, self._prompt or ""
        tail = recent[-k:]
        if len(tail) < k:
            return ""
        found = recent.rfind(tail, 0, len(recent) - 1)
        if found >= 0:
            period = recent[found + k :]
            return (period * (n_tokens // len(period) + 1))[:n_tokens]
        found = prompt.rfind(tail, 0, len(prompt) - 1)
        return prompt[found + k : found + k + n_tokens] if found >= 0 else ""
