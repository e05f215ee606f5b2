"""What questions hold while a commit's holes follow one another: all that was written before, nothing after it."""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.errors import EngineLost
from qwen_lsp.eval.ask import Asked
from qwen_lsp.eval.history import Checkout, Repository
from qwen_lsp.eval.holes import Hole
from qwen_lsp.eval.plan import variants
from qwen_lsp.eval.results import Answer, Results, Variant
from qwen_lsp.eval.sample import sample
from qwen_lsp.eval.trees import Questions, ask_all
from qwen_lsp.settings import Settings
from qwen_lsp.text.common import common_head
from tests.qwen_lsp.eval.repositories import DAY_S, START, repository
from tests.qwen_lsp.features.refactor.saying import text_of

WAYS = variants(("joint",), (512, 0), (True, False))
WITH_ALL = WAYS[0]
WORD = re.compile(r"\b[a-z]\w*_\d\w*\b")  # each is written once, but for uses of functions


def function(name: str, commit: int, used: str) -> str:
    at = f"{name}_{commit}"
    body = "".join(f"    value_{at}_{n} = {used}(argument_{at}) + {n}\n" for n in range(3))
    return f"def function_{at}(argument_{at}):\n{body}    return value_{at}_2\n\n\n"


def versions() -> list[dict[str, str]]:
    """Each commit writes a function into the middle of every file, and each uses the one of the file before it."""
    texts = {"a.py": "", "b.js": "", "c.py": ""}
    found = []
    for commit in range(6):
        for path, text in texts.items():
            name, before = path[0], chr(max(ord("a"), ord(path[0]) - 1))
            new = function(name, commit, f"function_{before}_{commit - (before == name)}")
            if path.endswith("js"):
                new = new.replace("def", "function").replace(":\n", " {\n", 1).replace("\n\n\n", "\n}\n\n")
            middle = text.find("\n\n", len(text) // 2) + 2 if "\n\n" in text else 0
            texts[path] = text[:middle].rstrip("\n") + "\n\n" * bool(middle) + new + text[middle:].lstrip("\n")
        found.append(dict(texts))
    return found


VERSIONS = versions()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(repository(tmp_path_factory.mktemp("past") / "shop", VERSIONS))


@dataclass
class Model:
    """Its count of prompt tokens tells which prompt an answer is of. `lost_at`: it breaks once at so many."""

    prompts: list[str] = field(default_factory=list)
    state: EngineState = field(default_factory=lambda: EngineState("ready", model="fake"))
    lost_at: tuple[int, int] = (-1, 0)  # at which prompt, how often

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def on_state(self, callback: object) -> None: ...

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        at, n_left = self.lost_at
        if len(self.prompts) == at and n_left:
            self.lost_at = (at, n_left - 1)
            raise EngineLost("the engine did not answer in time")
        self.prompts.append(text_of(request))
        yield Piece("value")
        yield Usage(len(self.prompts), 0, 1, 1, 1.0)


async def asked(
    past: Repository, out: Path, model: Model, ways: Sequence[Variant] = WAYS
) -> list[tuple[Hole, Answer, str]]:
    holes = {hole.id: hole for hole in sample(past, 12, 0)}
    (out / "scratch").mkdir(parents=True, exist_ok=True)
    with Results(out, {"seed": 0}) as results:
        questions = Questions(tuple(holes.values()), ways, Asked(model), Settings())
        folder = out / "scratch" / str(len(results.answers))
        folder.mkdir()
        await ask_all(questions, past, results, folder, lambda *_: None)
        answers = list(results.answers.values())
    return [
        (holes[each.hole], each, model.prompts[each.prompt - 1])
        for each in answers
        if 0 < each.prompt <= len(model.prompts)
    ]


def words(text: str) -> set[str]:
    return set(WORD.findall(text))


def unwritten(hole: Hole) -> set[str]:
    """All that nobody had written when the hole's place was come to."""
    before = VERSIONS[(hole.time - START) // DAY_S - 1]
    known = words(hole.before).union(*map(words, before.values()), *(words(each.after) for each in hole.earlier))
    return set().union(*(words(text) for texts in VERSIONS for text in texts.values())) - known


def leaks(found: list[tuple[Hole, Answer, str]]) -> list[set[str]]:
    return [leaked for hole, _, prompt in found if (leaked := words(prompt) & unwritten(hole))]


async def test_no_question_holds_what_was_not_written_yet(past: Repository, tmp_path: Path) -> None:
    found = await asked(past, tmp_path, Model())
    assert len(found) > 100 and {hole.kind for hole, _, _ in found} == {"line", "lines", "block", "hunk"}
    assert all(unwritten(hole) for hole, _, _ in found[: len(found) // 2])
    assert leaks(found) == []


async def test_with_the_trees_of_today_the_test_above_would_fail(
    past: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Checkout.move
    monkeypatch.setattr(Checkout, "move", lambda self, _: move(self, past.head))
    assert len(leaks(await asked(past, tmp_path, Model()))) > 20


async def test_a_commits_questions_grow_from_each_other(past: Repository, tmp_path: Path) -> None:
    """So that an engine reads what they share once; what stands before the place is what it was."""
    n_pairs = 0
    for _, same in by_commit(await asked(past, tmp_path, Model())):
        for (_, earlier), (hole, later) in same:
            kept = common_head(earlier, later)
            assert kept >= earlier.rindex("<|file_sep|>"), hole.id
            n_pairs += 1
    assert n_pairs > 10


def by_commit(
    found: list[tuple[Hole, Answer, str]],
) -> Iterator[tuple[str, list[tuple[tuple[Hole, str], tuple[Hole, str]]]]]:
    """Neighbours of one commit, asked with all there is; behind a block with braces another window begins."""
    commits: dict[str, list[tuple[Hole, str]]] = defaultdict(list)
    for hole, answer, prompt in found:
        if answer.variant == WITH_ALL.name:
            commits[hole.commit].append((hole, prompt))
    for commit, own in commits.items():
        yield commit, [(a, b) for a, b in pairwise(own) if not (a[0].kind == "block" and a[0].path == "b.js")]


async def test_a_run_that_goes_on_asks_the_same(past: Repository, tmp_path: Path) -> None:
    whole, first, rest = Model(), Model(lost_at=(17, 99)), Model()
    await asked(past, tmp_path / "whole", whole)
    with pytest.raises(EngineLost):
        await asked(past, tmp_path / "part", first)
    await asked(past, tmp_path / "part", rest)
    assert first.prompts + rest.prompts == whole.prompts


FEW = variants(("joint",), (48,), (True,))


def rewritten() -> list[dict[str, str]]:
    """The words of `often_*` stand in fewer files than those of `never_*`, and in more versions of files: what is rare
    in a tree is not what is rare in all that its store has read. `main.py` uses as many of both as are looked up."""
    used = " + ".join(f"often_{n} + never_{n} + other_{n}" for n in range(6))
    never = {f"never_{n}.py": f"def unchanged_{n}():\n    return never_{n} + other_{n}\n" for n in range(6)}
    copies = {f"copy_{n}.py": f"def copied_{n}():\n    return never_{n} + other_{n}\n" for n in range(6)}
    found, main = [], ""
    for commit in range(5):
        main += f"def main_{commit}(total):\n    total += {used}\n    return total\n\n\n"
        often = {f"often_{n}.py": f"def edited_{n}():\n    return often_{n}\n{commit}\n" for n in range(6)}
        found.append({"main.py": main, **never, **copies, **often})
    return found


async def test_a_run_that_goes_on_at_a_late_tree_asks_the_same(tmp_path: Path) -> None:
    """An index that is new there ranks as one that has seen the trees before it."""
    past = Repository(repository(tmp_path / "shop", rewritten()))
    whole, first, rest = Model(), Model(), Model()
    found = await asked(past, tmp_path / "whole", whole, FEW)
    commits = [hole.commit for hole, _, _ in found]
    late = commits.index(commits[-1])
    assert len(set(commits)) == 4 and late > 5
    assert all("edited_" in prompt and "unchanged_" not in prompt for _, _, prompt in found)
    first.lost_at = found[late - 1][1].prompt, 99
    with pytest.raises(EngineLost):
        await asked(past, tmp_path / "part", first, FEW)
    await asked(past, tmp_path / "part", rest, FEW)
    assert first.prompts + rest.prompts == whole.prompts


async def test_a_slow_engine_is_asked_again(past: Repository, tmp_path: Path) -> None:
    """What it has read of a long prompt it has kept."""
    whole, slow = Model(), Model(lost_at=(5, 2))
    await asked(past, tmp_path / "whole", whole)
    await asked(past, tmp_path / "slow", slow)
    assert list(dict.fromkeys(slow.prompts)) == list(dict.fromkeys(whole.prompts))
