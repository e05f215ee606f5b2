"""A backend that says what a test tells it to, counts what is asked of it and holds its caller to the contract.

No model, no randomness, no time: a test that needs an order of events hands in a `hook` that waits on its own gates.
Attention rows are counted as a real engine counts them, shared ones once.
"""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from inference.backends.base import EngineSettings, ModelInfo, Payload, Snapshot, Step, Tokenizer
from inference.backends.byte_tokens import CONTROL_IDS, END_IDS, N_VOCAB, ByteTokenizer, as_text
from inference.backends.replies import Reply, Told
from inference.backends.sequences import Sequences, allowed, drawn_along, outcome
from inference.errors import EngineError, ModelBroken, QueueFull
from inference.generation import Constraint, Sampling
from inference.vocabulary import Beginning

Script = Callable[[tuple[int, ...]], int]  # all ids of a sequence -> the next one
Hook = Callable[[str], None]  # called at the start of "evaluate", "sample", "dump", "load", on the caller's thread

_SNAPSHOT_BYTES = 1000
_DUMPED = b"scripted"


def answers(table: Mapping[str, str]) -> Script:
    """A script from a table: where a sequence ends with a key and a part of its answer, the answer goes on.

    The longest such ending wins. After the answer, and where nothing fits, comes the end of the turn.
    """
    tokenizer = ByteTokenizer()
    rows = [tuple(tuple(tokenizer.encode(t, parse_special=True)) for t in row) for row in table.items()]
    end = CONTROL_IDS["<|im_end|>"]

    def script(tokens: tuple[int, ...]) -> int:
        best, said = 0, end
        for key, answer in rows:
            for n in range(len(answer) + 1):
                ending = key + answer[:n]
                if len(ending) > best and tokens[-len(ending) :] == ending:
                    best, said = len(ending), (*answer, end)[n]
        return said

    return script


@dataclass(slots=True)
class Calls:
    """What was asked for. `evaluated` has the number of tokens of each pass."""

    evaluated: list[int] = field(default_factory=list)
    samples: int = 0
    snapshots: int = 0
    restores: int = 0
    forks: int = 0
    dumps: int = 0
    loads: int = 0
    opens: int = 0
    closes: int = 0
    is_shut_down: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One token's attention row; forks share it."""

    token: int


class _Answer:
    """A reply as tokens, all of it text; the first one stands at `begins` of its sequence."""

    def __init__(self, begins: int, reply: Reply) -> None:
        self.begins = begins
        self.tokens = ByteTokenizer().encode(reply.say, parse_special=False)
        self.pause_s = reply.token_ms / 1000


class ScriptedBackend:
    """Holds token ids where a real engine holds state."""

    def __init__(
        self, script: Script | Told, settings: EngineSettings | None = None, hook: Hook = lambda _name: None
    ) -> None:
        settings = settings or EngineSettings()
        self.tokenizer: Tokenizer = ByteTokenizer()
        self.calls = Calls()
        self._script = script
        self._hook = hook
        self._rows: dict[int, list[_Row]] = {}
        self._answers: dict[int, _Answer] = {}  # of sequences that are in the middle of one
        self.info = ModelInfo(
            name="scripted",
            engine="scripted",
            n_ctx=settings.n_ctx,
            n_cells=settings.n_cells,
            cache_bytes=settings.cache_bytes,
            n_vocab=N_VOCAB,
            end_ids=END_IDS,
            max_sequences=settings.max_sequences,
            weight_bytes=0,
            row_bytes=1,
            snapshot_bytes=_SNAPSHOT_BYTES,
            max_together=settings.max_sequences,
            state_format="scripted",
        )
        self._sequences = Sequences(settings.max_sequences, settings.n_ctx, self.info.n_vocab)

    def open(self) -> int:
        self.calls.opens += 1
        return self._open()

    def close(self, seq: int) -> None:
        self.calls.closes += 1
        self._sequences.close(seq)
        self._answers.pop(seq, None)
        del self._rows[seq]

    @property
    def n_evaluated(self) -> int:
        return sum(self.calls.evaluated)

    def evaluate(self, seq: int, tokens: Sequence[int]) -> None:
        self._answers.pop(seq, None)
        self._append(seq, tokens)
        self._sequences.grew(seq, len(tokens))

    def _append(self, seq: int, tokens: Sequence[int]) -> None:
        self._hook("evaluate")
        self._sequences.admit(seq, tokens)
        self._pass({seq: tokens})

    def _pass(self, tokens: Mapping[int, Sequence[int]]) -> None:
        """Tokens by sequence."""
        n_tokens = sum(map(len, tokens.values()))
        self._check_room(n_tokens)
        self.calls.evaluated.append(n_tokens)
        for seq, added in tokens.items():
            self._rows[seq] += map(_Row, added)

    def _check_room(self, n_tokens: int) -> None:
        if sum(map(len, self._rows.values())) + n_tokens <= self.info.n_cells:
            return  # also if none were shared
        held = len({row for rows in self._rows.values() for row in rows})
        if held + n_tokens > self.info.n_cells:
            raise QueueFull(f"no room for {n_tokens} more tokens in {self.info.n_cells} rows")

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> Constraint | None:
        return constraint

    def sample(self, seq: int, sampler: Constraint | None) -> int:
        self._sequences.check_logits(seq)
        return self._say(seq, len(self._rows[seq]), sampler)

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: Constraint | None) -> tuple[int, ...]:
        """A miss costs nothing here: there is no state to go back to."""
        draft = allowed(draft, sampler)
        self._append(seq, (token, *draft))
        n_before = len(self._rows[seq]) - len(draft)
        drawn = drawn_along(draft, lambda n: self._say(seq, n_before + n, sampler))
        del self._rows[seq][n_before + len(drawn) - 1 :]
        self._sequences.drew(seq, len(drawn))
        return drawn

    def step_together(self, steps: Sequence[Step]) -> list[int | EngineError]:
        self._hook("evaluate")
        for step in steps:
            self._sequences.admit(step.seq, (step.token,))
        self._pass({step.seq: (step.token,) for step in steps})
        for step in steps:
            self._sequences.drew(step.seq, 1)
        return [outcome(partial(self._say, step.seq, len(self._rows[step.seq]), step.sampler)) for step in steps]

    def _say(self, seq: int, n_tokens: int, constraint: Constraint | None) -> int:
        """What the script says after `n_tokens`; where the constraint forbids that, the smallest id that it allows.

        Where those are typed letters, an answer from a file comes behind them: a model says them first, too.
        """
        self._hook("sample")
        self.calls.samples += 1
        token = self._next(seq, n_tokens)
        if constraint is not None and not constraint.is_free:
            mask = constraint.mask()
            if not mask[token]:
                token = next(i for i, may in enumerate(mask) if may)
                if isinstance(constraint, Beginning) and seq in self._answers:
                    self._answers[seq].begins += 1
            constraint.accept(token)
        return token

    def _next(self, seq: int, n_tokens: int) -> int:
        """Of an answer from a file the token at this place, whatever stood before it; then the end."""
        if not isinstance(self._script, Told):
            return self._script(self._tokens(seq)[:n_tokens])
        answer = self._answers.get(seq)
        if answer is None:
            answer = _Answer(n_tokens, self._script.reply(as_text(self._tokens(seq)[:n_tokens])))
            self._answers[seq] = answer
        if answer.pause_s:
            time.sleep(answer.pause_s)
        at = n_tokens - answer.begins
        return answer.tokens[at] if at < len(answer.tokens) else CONTROL_IDS["<|im_end|>"]

    def snapshot(self, seq: int) -> Snapshot:
        self.calls.snapshots += 1
        tokens = self._tokens(seq)
        return Snapshot(len(tokens), _SNAPSHOT_BYTES, tokens)

    def restore(self, seq: int, snapshot: Snapshot) -> None:
        self.calls.restores += 1
        self._check_origin(seq, snapshot)
        self._answers.pop(seq, None)
        del self._rows[seq][snapshot.n_tokens :]
        self._sequences.cut(seq, snapshot)

    def fork(self, seq: int, snapshot: Snapshot) -> int:
        self.calls.forks += 1
        self._check_origin(seq, snapshot)
        child = self._open()
        self._rows[child] = self._rows[seq][: snapshot.n_tokens]
        self._sequences.cut(child, snapshot)
        return child

    def rows_bytes(self) -> int:
        return len({row for rows in self._rows.values() for row in rows}) * self.info.row_bytes

    def dump(self, seq: int, snapshot: Snapshot) -> Payload:
        self._hook("dump")
        self.calls.dumps += 1
        self._sequences.check_dump(seq, snapshot)
        self._check_origin(seq, snapshot)
        return _DUMPED, array("i", snapshot.state).tobytes()

    def load(self, payload: Payload, n_tokens: int) -> tuple[int, Snapshot]:
        self._hook("load")
        self.calls.loads += 1
        if len(payload) != 2 or payload[0] != _DUMPED or len(payload[1]) != n_tokens * array("i").itemsize:
            raise ModelBroken(f"a saved sequence of {n_tokens} tokens is cut off or not of this model")
        self._check_room(n_tokens)
        seq = self._sequences.open_at(n_tokens)
        tokens = tuple(array("i", payload[1]))
        self._rows[seq] = list(map(_Row, tokens))
        return seq, Snapshot(n_tokens, _SNAPSHOT_BYTES, tokens)

    def shutdown(self) -> None:
        self.calls.is_shut_down = True
        self._rows.clear()

    def _open(self) -> int:
        seq = self._sequences.open()
        self._rows[seq] = []
        return seq

    def _tokens(self, seq: int) -> tuple[int, ...]:
        self._sequences.length(seq)
        return tuple(row.token for row in self._rows[seq])

    def _check_origin(self, seq: int, snapshot: Snapshot) -> None:
        """Stricter than a real engine can be: the snapshot must have been taken on these very tokens."""
        self._sequences.check_cut(seq, snapshot)
        if self._tokens(seq)[: snapshot.n_tokens] != snapshot.state:
            raise RuntimeError(f"the snapshot at {snapshot.n_tokens} was not taken on what sequence {seq} holds")
