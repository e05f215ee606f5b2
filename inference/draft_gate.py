"""Whether drafting pays: seconds in, the length of the next draft out.

Knows no drafts, no engine and no clock; the seconds are handed in. One gate outlives many jobs: a gate that learned
anew in each short completion would spend on drafts what it may lose in each of them.
"""

LOSS_SHARE = 0.03  # of plain decoding's time that may go into drafts that do not pay
DEAR_SHARE = 0.01  # of it, where they lose even when they are right: to see now and then whether that is still so
FIRST_PLAIN = 2  # plain steps before the first draft, the faster one of which counts: the very first is often slow
CREDIT = 2.0  # plain steps: what may be lost before anything was earned
MAX_CREDIT = 32.0  # plain steps: what past gains let it lose when the text changes
DEAR = 0.7  # of plain steps: a draft that costs so much when all of it is right loses more than it ever gains
SURE_AFTER = 4  # steps with drafts: what the first ones cost is no evidence
_SMOOTHING = 0.1  # weight of the newest step; the first ones count alike
_SLOWER = 0.2  # of a plain step's weight where it took longer: others only ever add, and a mean would promise gains
_MAX_RISE = 2.0  # no plain step counts for more than so many times the others: the machine has hiccups
_ALIKE = 1e-3  # spread of lengths below which no line is drawn through them
_MAX_EXTRA = 2.0  # plain steps beyond one for each of its tokens: nor does a longer one


class Gate:
    """An account of seconds. A draft may be so long that, if all of it is wrong, the account is empty.

    A step with a draft pays in what it saved against drawing its tokens one by one, or takes out what it lost. A plain
    step pays in LOSS_SHARE of its time: this is what lets a closed gate try again, rarely. Looking for a draft is paid
    for whether one is found or not: beside a small model it is no small thing. So in all, drafting never costs more
    than that share, the credit and one pass. What a step costs is estimated from all steps so far: a plain one, what
    is added by there being a draft at all, and by each of its tokens. One slow step is no evidence.
    """

    def __init__(self) -> None:
        self._plain_s = 0.0  # a plain step's seconds; 0: none seen yet
        self._longer = _Line()  # what a longer step takes beyond them
        self._n_plain = 0
        self._account_s = 0.0
        self._is_dear = False  # at the length last asked for

    def limit(self, max_draft: int) -> int:
        """Tokens that the next draft may have. None before the first plain steps: there is nothing to compare with."""
        if self._account_s <= 0 or max_draft < 1:
            return 0
        at_most_s = self._longer.at(max_draft)
        self._is_dear = self._longer.n >= SURE_AFTER and at_most_s > DEAR * max_draft * self._plain_s
        if self._is_dear and self._account_s < max(CREDIT * self._plain_s, self._longer.at(1)):
            return 0  # it only looks now and then whether that is still so: small models on processors are like that
        return max_draft if at_most_s <= self._account_s else self._longer.within(self._account_s)

    def saw(self, n_evaluated: int, n_drawn: int, seconds: float, looked_s: float = 0.0) -> None:
        """One decoding step put `n_evaluated` tokens through the model and drew `n_drawn`. One of each is plain.

        Tokens evaluated again after a miss count here too: they are what the miss cost. `looked_s`: looking for a draft
        took that long, before the step.
        """
        self._account_s -= looked_s
        if n_evaluated == 1:
            self._saw_plain(seconds)
        elif self._n_plain >= FIRST_PLAIN:
            further = n_evaluated - 1
            extra_s = min(seconds, (n_evaluated + _MAX_EXTRA) * self._plain_s) - self._plain_s
            self._longer.saw(further, max(extra_s, 0.0))
            self._pay_in((n_drawn - 1) * self._plain_s - self._longer.at(further))

    def _saw_plain(self, seconds: float) -> None:
        self._n_plain += 1
        if self._n_plain <= FIRST_PLAIN:
            self._plain_s = min(seconds, self._plain_s or seconds)
            self._account_s = CREDIT * self._plain_s if self._n_plain == FIRST_PLAIN else 0.0
            return
        seconds = min(seconds, _MAX_RISE * self._plain_s)
        weight = max(_SMOOTHING, 1 / self._n_plain) * (_SLOWER if seconds > self._plain_s else 1)
        self._plain_s += weight * (seconds - self._plain_s)
        self._pay_in((DEAR_SHARE if self._is_dear else LOSS_SHARE) * seconds)

    def _pay_in(self, seconds: float) -> None:
        self._account_s = min(self._account_s + seconds, MAX_CREDIT * self._plain_s)


class _Line:
    """Seconds by the number of tokens, as a straight line through what was seen; it falls nowhere and below nothing."""

    def __init__(self) -> None:
        self.n = 0
        self._tokens = self._seconds = 0.0  # means
        self._spread = self._slope = 0.0  # of the tokens, and of both together
        self._fixed_s = self._token_s = 0.0  # the line: it is asked at every step, and seldom moves

    def saw(self, n_tokens: int, seconds: float) -> None:
        self.n += 1
        weight = max(_SMOOTHING, 1 / self.n)
        off, off_s = n_tokens - self._tokens, seconds - self._seconds
        self._tokens += weight * off
        self._seconds += weight * off_s
        self._spread += weight * ((1 - weight) * off * off - self._spread)
        self._slope += weight * ((1 - weight) * off * off_s - self._slope)
        most_s = self._seconds / self._tokens
        self._token_s = min(max(self._slope / self._spread, 0.0), most_s) if self._spread > _ALIKE else most_s
        self._fixed_s = self._seconds - self._token_s * self._tokens

    def at(self, n_tokens: int) -> float:
        return self._fixed_s + n_tokens * self._token_s

    def within(self, seconds: float) -> int:
        """Tokens that take no longer, where some number of them does."""
        return max(0, int((seconds - self._fixed_s) / self._token_s)) if self._token_s else 0
