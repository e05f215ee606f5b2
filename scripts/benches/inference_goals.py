"""The goals of DESIGN.md section 7 that the inference bench can see, held against its figures. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scripts.benches.inference_figures import Cold, Decoded, Preempted, Row, milliseconds, thousands
from scripts.benches.inference_traces import HUNK_TOKENS, TAIL_TOKENS

MEDIAN_KEY, P95_KEY, FLAT = 16, 64, 1.1  # tokens evaluated per key; largest context against smallest
EDIT_ROOM = 128  # tokens beyond the edit's own
FEWER = {"llama-server": 20, "mlx_lm.server": 500}  # times
FIRST_TOKEN = {4_000: 1 / 3, 32_000: 1 / 10}  # by context, against llama-server
AT_BEST = 1.1  # where its own reuse is as good as it gets
COLD, RESTART = 1.03, 0.05
PER_PASS, WALL, NO_COPIES = 12, 3.0, 0.95
WHILE_PREFILL = 1.5  # of what the request takes alone, plus one chunk

OURS = ("ours", "ledger")
BEST_CASES = ("end", "ledger")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal, what was measured, and whether it is reached; None: not measured here."""

    engine: str
    goal: str
    measured: str
    reached: bool | None


Place = tuple[str, str]  # a server and a trace
Finding = tuple[str, str, bool | None]  # a verdict's goal, measured, reached


@dataclass(frozen=True, slots=True)
class Keys:
    """The measured keys of one engine, by server, trace and context."""

    peer: str
    found: dict[tuple[str, str, int], Row]

    @staticmethod
    def of(engine: str, peer: str, table: Sequence[Row]) -> "Keys":
        mine = [row for row in table if row.engine == engine and row.step == "key"]
        return Keys(peer, {(row.server, row.trace, row.context): row for row in mine})

    def at(self, server: str, trace: str) -> dict[int, Row]:
        """By context, ascending."""
        return {c: row for (s, t, c), row in sorted(self.found.items()) if (s, t) == (server, trace)}

    def ratios(self, over: Place, under: Place, figure: Callable[[Row], float]) -> dict[int, float]:
        """`over` / `under` at the contexts that both have."""
        above, below = self.at(*over), self.at(*under)
        return {c: figure(above[c]) / max(figure(below[c]), 1e-9) for c in above if c in below}


def verdicts(
    engine: str,
    peer: str,
    table: Sequence[Row],
    cold: Sequence[Cold],
    preempted: Sequence[Preempted],
    decoded: Decoded | None,
) -> list[Verdict]:
    """Every goal of section 7 that this bench can see, for one engine."""
    keys = Keys.of(engine, peer, table)
    findings = [*_counts(keys), *_against_peer(keys), *_cold(keys, [each for each in cold if each.engine == engine])]
    if engine != "mlx":  # off Metal its times say nothing
        findings += _first_token(keys)
    findings += [_preempted(each) for each in preempted if (each.engine, each.server) == (engine, "ours")]
    if decoded is not None:
        findings += _decoded(decoded)
    return [Verdict(engine, *finding) for finding in findings]


def _counts(keys: Keys) -> Iterator[Finding]:
    typed = keys.at("ours", "ledger")
    evaluated = {context: row.evaluated for context, row in typed.items()}
    yield _everywhere(f"tokens per key, answer included: median <= {MEDIAN_KEY}", evaluated, lambda n: n <= MEDIAN_KEY)
    tails = {context: row.evaluated_p95 for context, row in typed.items()}
    yield _everywhere(f"tokens per key, answer included: p95 <= {P95_KEY}", tails, lambda n: n <= P95_KEY)
    growth = {context: n / evaluated[1_000] for context, n in evaluated.items() if 1_000 in evaluated}
    yield _at(f"flat: 32k / 1k <= {FLAT}", growth, 32_000, lambda ratio: ratio <= FLAT)
    edited = {context: row.to_first_max for context, row in keys.at("ours", "edit-log").items()}
    goal = f"edit of e = {HUNK_TOKENS} tokens elsewhere: <= e + {EDIT_ROOM} to the first one"
    yield _everywhere(goal, edited, lambda n: n <= HUNK_TOKENS + EDIT_ROOM)
    switched = {context: row.to_first_max for context, row in keys.at("ours", "switch").items()}
    goal = f"switching buffers behind one trunk: no more than a tail ({TAIL_TOKENS} tokens) to the first one"
    yield _everywhere(goal, switched, lambda n: n <= TAIL_TOKENS)


def _against_peer(keys: Keys) -> Iterator[Finding]:
    fewer = keys.ratios((keys.peer, "middle"), OURS, lambda row: row.evaluated)
    wanted = FEWER[keys.peer]
    goal = f"tokens per key in the middle: {wanted}x fewer than {keys.peer}, prefix first, at 32k"
    yield _at(goal, fewer, 32_000, lambda ratio: ratio >= wanted, "{:.1f}x")
    for trace in BEST_CASES:
        ratios = keys.ratios(("ours", trace), (keys.peer, trace), lambda row: row.evaluated)
        yield _everywhere(f"tokens per key in {keys.peer}'s best case ({trace}): not more", ratios, lambda r: r <= 1)


def _first_token(keys: Keys) -> Iterator[Finding]:
    first = keys.ratios(OURS, (keys.peer, "middle"), lambda row: row.first_token_s)
    for context, limit in FIRST_TOKEN.items():
        goal = f"first token against {keys.peer}, prefix first, at {thousands(context)}: <= {limit:.2f}"
        yield _at(goal, first, context, limit.__ge__)
    for trace in BEST_CASES:
        ratios = keys.ratios(("ours", trace), (keys.peer, trace), lambda row: row.first_token_s)
        goal = f"first token in {keys.peer}'s best case ({trace}): <= {AT_BEST}"
        yield _everywhere(goal, ratios, lambda ratio: ratio <= AT_BEST)


def _cold(keys: Keys, cold: Sequence[Cold]) -> Iterator[Finding]:
    """The median of pairs, which were made one after the other; small contexts are shown, the largest is judged."""
    by_context = {c: [each for each in cold if each.context == c] for c in sorted({each.context for each in cold})}
    largest = max(by_context, default=0)

    def share(of: Callable[[Cold], float]) -> dict[int, float]:
        return {c: median(each.ours_cpu_s / of(each) for each in pairs) for c, pairs in by_context.items()}

    goal = f"cold prefill against the raw engine with the same settings, CPU time: <= {COLD}"
    yield _at(goal, share(lambda pair: pair.raw_cpu_s), largest, lambda ratio: ratio <= COLD)
    if any(pair.default_cpu_s != pair.raw_cpu_s for pair in cold):
        goal = f"cold prefill against the raw engine with its own kind of attention, CPU time: <= {COLD}"
        yield _at(goal, share(lambda pair: pair.default_cpu_s), largest, lambda ratio: ratio <= COLD)
    ours_s = {c: min(each.ours_s for each in pairs) for c, pairs in by_context.items()}
    again = {c: row.first_token_s / ours_s[c] for c, row in keys.at("ours", "restart").items() if c in ours_s}
    goal = f"first token after a restart, 32k prefix saved, against cold: <= {RESTART}"
    yield _at(goal, again, 32_000, lambda ratio: ratio <= RESTART)


def _preempted(found: Preempted) -> Finding:
    alone_s = median(found.alone_s)
    allowed_s = WHILE_PREFILL * alone_s + found.chunk_s
    goal = (
        f"typing during a prefill of {thousands(found.context)}: first token <= {WHILE_PREFILL}x alone and one chunk "
        f"= {milliseconds(allowed_s)}"
    )
    if not found.during_s:
        return goal, "no request was answered while the prefill ran", None
    typical_s, worst_s = median(found.during_s), max(found.during_s)
    measured = (
        f"median {milliseconds(typical_s)}, worst of {len(found.during_s)} {milliseconds(worst_s)}, "
        f"alone {milliseconds(alone_s)}"
    )
    return goal, measured, typical_s <= allowed_s


def _decoded(found: Decoded) -> Iterator[Finding]:
    per_pass = found.replay_tokens / found.replay_passes
    yield (
        f"edits, tokens per pass over {found.n_windows} recorded windows: >= {PER_PASS}",
        f"{per_pass:.1f} in all, {found.replay_median:.1f} in the median one; with this engine's gate "
        f"{found.edits.tokens / found.edits.passes:.1f} over {found.edits.n_answers}",
        per_pass >= PER_PASS,
    )
    edits, others = found.edits, found.others
    cpu, wall = edits.plain_cpu_s / edits.cpu_s, edits.plain_wall_s / edits.wall_s
    yield f"edits, speed against no drafts: >= {WALL}x", f"{cpu:.2f}x CPU, {wall:.2f}x wall", cpu >= WALL
    cpu, wall = median(others.cpu_ratios), median(others.wall_ratios)
    goal = f"text without copies, speed against no drafts, the median of {others.n_answers} pairs: >= {NO_COPIES}x"
    yield goal, f"{cpu:.3f}x CPU, {wall:.3f}x wall", min(cpu, wall) >= NO_COPIES


def _everywhere(goal: str, values: Mapping[int, float], holds: Callable[[float], bool]) -> Finding:
    """A goal for every context."""
    return goal, _by_context(values), all(map(holds, values.values())) if values else None


def _at(
    goal: str, values: Mapping[int, float], context: int, holds: Callable[[float], bool], form: str = "{:.3g}"
) -> Finding:
    """A goal for one context; the others are shown."""
    return goal, _by_context(values, form), holds(values[context]) if context in values else None


def _by_context(values: Mapping[int, float], form: str = "{:.3g}") -> str:
    return ", ".join(f"{thousands(c)} {form.format(value)}" for c, value in sorted(values.items())) or "-"


def verdict_lines(found: Sequence[Verdict]) -> list[str]:
    words = {True: "reached", False: "NOT REACHED", None: "not measured"}
    return [f"{words[each.reached]:12} {each.engine:6} {each.goal}: {each.measured}" for each in found]
