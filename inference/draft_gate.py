"""Whether drafting pays: seconds in, the length of the next draft out.

Knows no drafts, no engine and no clock; the seconds are handed in. One gate outlives many jobs: a gate that learned
anew in each short completion would spend on drafts what it may lose in each of them.
"""

LOSS_SHARE = 0.03  # of plain decoding's time that may go into drafts that do not pay
CREDIT = 2.0  # plain steps: what may be lost before anything was earned
MAX_CREDIT = 32.0  # plain steps: what past gains let it lose when the text changes
_SMOOTHING = 0.1  # weight of the newest step; the first ones count alike
_MAX_RISE = 2.0  # no plain step counts for more than so many times the others: the machine has hiccups


class Gate:
    """An account of seconds. A draft may be so long that, if all of it is wrong, the account is empty.

    A step with a draft pays in what it saved against drawing its tokens one by one, or takes out what it lost. A plain
    step pays in LOSS_SHARE of its time: this is what lets a closed gate try again, rarely. Looking for a draft is paid
    for whether one is found or not: beside a small model it is no small thing. So in all, drafting never costs more
    than that share, the credit and one pass. What a step costs is estimated from all steps so far, a plain
    one and each further token in it: one slow step is no evidence.
    """

    def __init__(self) -> None:
        self._plain_s = 0.0  # a plain step's seconds; 0: none seen yet
        self._token_s = 0.0  # seconds of each further token in a step
        self._n_plain = 0
        self._n_longer = 0
        self._account_s = 0.0

    def limit(self, max_draft: int) -> int:
        """Tokens that the next draft may have. None before a plain step: there is nothing to compare with."""
        if self._account_s <= 0:
            return 0
        worst_s = max_draft * self._token_s
        return max_draft if worst_s <= self._account_s else int(self._account_s / self._token_s)

    def saw(self, n_evaluated: int, n_drawn: int, seconds: float, looked_s: float = 0.0) -> None:
        """One decoding step put `n_evaluated` tokens through the model and drew `n_drawn`. One of each is plain.

        Tokens evaluated again after a miss count here too: they are what the miss cost. `looked_s`: looking for a draft
        took that long, before the step.
        """
        self._account_s -= looked_s
        if n_evaluated == 1:
            self._saw_plain(seconds)
        elif self._n_plain:
            self._n_longer += 1
            each_s = (seconds - self._plain_s) / (n_evaluated - 1)
            each_s = min(max(each_s, 0.0), self._plain_s)  # no token is dearer than in a step of its own
            self._token_s += max(_SMOOTHING, 1 / self._n_longer) * (each_s - self._token_s)
            self._pay_in((n_drawn - 1) * self._plain_s - (n_evaluated - 1) * self._token_s)

    def _saw_plain(self, seconds: float) -> None:
        self._n_plain += 1
        if self._n_plain == 1:
            self._plain_s = seconds
            self._account_s = CREDIT * seconds
            return
        seconds = min(seconds, _MAX_RISE * self._plain_s)
        self._plain_s += max(_SMOOTHING, 1 / self._n_plain) * (seconds - self._plain_s)
        self._pay_in(LOSS_SHARE * seconds)

    def _pay_in(self, seconds: float) -> None:
        self._account_s = min(self._account_s + seconds, MAX_CREDIT * self._plain_s)
