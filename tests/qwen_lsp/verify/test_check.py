"""verify(): edits, real commands, and what is new. Mostly without the sandbox's start, which other tests have."""

import asyncio
from pathlib import Path

import pytest

from qwen_lsp.verify.check import copy_of, verify, verify_in
from qwen_lsp.verify.shadow import cache_folder
from qwen_lsp.verify.trust import trust
from qwen_lsp.verify.verdict import Check, Limits, Verdict
from tests.qwen_lsp.index.trees import write
from tests.qwen_lsp.verify.test_shadow import unchanged

# A linter in a line: every row with "bad" is a message, and one is enough to fail.
GREP = Check(
    "! grep -rn bad --include=*.py . | sed -E 's/^(.*):([0-9]+):.*/\\1:\\2:1: error: bad word/' | grep .", "words"
)
BASE = {"a.py": "good\nbad\n", "b.py": "good\n"}


async def check(root: Path, edits: dict[str, str | None], **options: dict[str, str | None]) -> Verdict:
    with unchanged(root):
        return await verify(root, edits, [GREP], **options)  # type: ignore[arg-type]


def shown(verdict: Verdict) -> list[str]:
    assert verdict.reason == ""
    return [finding.place() for finding in verdict.new]


async def test_what_was_wrong_before_is_not_new(root: Path) -> None:
    write(root, BASE)
    verdict = await check(root, {"a.py": "more\ngood\nbad\n", "b.py": "good\nfine\n"})
    assert (shown(verdict), verdict.holds, verdict.passed) == ([], True, ())
    assert verdict.base is not None
    assert [finding.line for finding in verdict.base.outcomes[0].findings] == [2]


async def test_new_findings_come_back(root: Path) -> None:
    write(root, BASE)
    verdict = await check(root, {"b.py": "good\nbad\n", "c.py": "bad\n"})
    assert (shown(verdict), verdict.holds) == (["b.py:2:1", "c.py:1:1"], False)
    assert {finding.check for finding in verdict.new} == {"words"} and verdict.failing == ()


async def test_edits_that_mend_make_a_check_pass(root: Path) -> None:
    write(root, BASE)
    verdict = await check(root, {"a.py": None})
    assert (shown(verdict), verdict.passed) == ([], ("words",))


async def test_unsaved_texts_belong_to_the_base(root: Path) -> None:
    write(root, BASE)
    verdict = await check(root, {"b.py": "good\nbad\n"}, buffers={"a.py": "bad\nbad\n"})
    assert shown(verdict) == ["b.py:2:1"]


async def test_a_check_that_fails_without_a_known_message_says_how_it_ended(root: Path) -> None:
    write(root, BASE)
    with unchanged(root):
        verdict = await verify(root, {"b.py": ""}, [Check("echo building; test -s b.py", "size")])
    assert [finding.shown() for finding in verdict.new] == [
        "error: size passed before the edits, and now: exit status 1. building"
    ]


async def test_a_check_that_failed_so_before_tells_nothing(root: Path) -> None:
    verdict = await verify(root, {"b.py": ""}, [Check("false"), Check("no-such-tool")])
    assert (shown(verdict), verdict.holds) == ([], True)
    assert verdict.failing == ("false", "no-such-tool"), "but a person is told so"


async def test_a_check_that_hangs_only_now_is_a_finding(root: Path) -> None:
    write(root, BASE)
    hangs = Check("test -s b.py || sleep 86406.125", "hangs")
    verdict = await verify(root, {"b.py": ""}, [hangs], limits=Limits(wall_s=1))
    assert [finding.message for finding in verdict.new] == [
        "hangs passed before the edits, and now: ended by a limit: time, more than 1 s."
    ]


async def test_an_untrusted_folder_runs_nothing(root: Path, tmp_path: Path) -> None:
    write(root, {"qwen-lsp.toml": "trusted = true\n"})
    trust(root, False)
    verdict = await verify(root, {}, [Check(f"touch {tmp_path}/ran")])
    assert f"qwen-lsp trust {root}" in verdict.reason
    assert not verdict.holds
    assert not (tmp_path / "ran").exists()
    assert not cache_folder().exists()


async def test_an_edit_that_leaves_the_workspace_is_a_reason(root: Path, tmp_path: Path) -> None:
    verdict = await verify(root, {"../out.py": "x"}, [Check("true")])
    assert "not a path below" in verdict.reason
    assert not (tmp_path / "out.py").exists()


async def test_rounds_share_a_copy_and_the_base(root: Path) -> None:
    write(root, BASE)
    counting = Check("echo run >> runs; wc -l < runs; test -s b.py", "counts")
    async with copy_of(root) as shadow:
        told: list[str] = []
        one = await verify_in(shadow, {"b.py": ""}, [counting], tell=told.append)
        two = await verify_in(shadow, {"b.py": "mended\n"}, [counting], one.base, tell=told.append)
    assert (one.holds, two.holds, two.passed) == (False, True, ("counts",))
    assert two.outcomes[0].tail.strip() == "3"  # before, round one, round two: what a build leaves is kept
    assert told == ["before the edits: counts", "checking: counts", "checking: counts"]
    assert list(cache_folder().iterdir()) == []


@pytest.mark.parametrize("moment", ["copying the workspace", "before the edits: sleep 86407.125"])
async def test_a_cancel_leaves_no_copy(root: Path, moment: str) -> None:
    write(root, BASE)
    cache_folder().mkdir(mode=0o700, parents=True)
    begun = asyncio.Event()

    def tell(text: str) -> None:
        if text == moment:
            begun.set()

    task = asyncio.create_task(verify(root, {}, [Check("sleep 86407.125")], tell=tell))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(cache_folder().iterdir()) == []
