"""Saved prefixes: what is found is what was written, whatever happened to the files in between."""

import errno
import fcntl
import itertools
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import saved
from inference.backends.base import EngineName, EngineSettings, Payload
from inference.generation import GREEDY
from inference.kept import pack
from inference.models.catalogue import load, resolve
from inference.saved import Saved, SavedPrefixes

IDENTITY = "a model, an engine 1.0"
PAYLOAD: Payload = (b"what it is", b"", bytes(range(256)), memoryview(b"state"))
TOKENS = [700_001, 700_002, 700_003]
GIB = 1 << 30


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No line of any test has a token in it."""
    caplog.set_level(logging.DEBUG)
    yield
    lines = [record.getMessage() for record in caplog.get_records("call")]
    assert not any(str(token) in line for line in lines for token in TOKENS)


def opened(folder: Path, identity: str = IDENTITY, max_bytes: int = GIB, start: int = 10**18) -> SavedPrefixes:
    """With a clock that ticks at each look."""
    return SavedPrefixes(folder, identity, max_bytes, itertools.count(start).__next__)


def following(tokens: Sequence[int]) -> bytes:
    """The shortest prompt that `tokens` are a proper prefix of."""
    return pack([*tokens, 0])


def found(store: SavedPrefixes, tokens: Sequence[int]) -> Saved:
    there = store.find(following(tokens))
    assert there is not None and there.tokens == pack(tokens)
    return there


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def size_of_one(folder: Path) -> int:
    store = opened(folder / "for-size")
    assert store.write(pack([1]), PAYLOAD)
    return found(store, [1]).n_bytes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = opened(tmp_path / "a" / "b")
    assert store.write(pack(TOKENS), PAYLOAD)
    for each in (store, opened(tmp_path / "a" / "b")):
        there = found(each, TOKENS)
        assert there.n_tokens == 3
        assert there.n_bytes == there.path.stat().st_size
        assert each.read(there) == list(PAYLOAD)


def test_the_text_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o755)
    assert opened(folder).write(pack(TOKENS), PAYLOAD)
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, *files(folder))] == ["0o700", "0o600"]


runs = st.lists(st.integers(0, 2), max_size=6)


@settings(deadline=None, max_examples=50)  # each waits for the disk
@given(st.lists(runs.filter(bool), max_size=8), st.lists(runs, min_size=1))
def test_finds_the_longest_proper_prefix(kept: list[list[int]], prompts: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = opened(Path(folder))
        for tokens in kept:
            assert store.write(pack(tokens), (pack(tokens),))
        for prompt in prompts:
            wanted = max((t for t in kept if len(t) < len(prompt) and prompt[: len(t)] == t), key=len, default=None)
            for each in (store, opened(Path(folder))):
                there = each.find(pack(prompt))
                assert (there and there.tokens) == (wanted and pack(wanted))
                assert there is None or each.read(there) == [there.tokens]


def test_all_ids_are_compared(tmp_path: Path) -> None:
    store, same = opened(tmp_path), [0] * 1000
    for tokens in ([1, *same], [*same, 2, *same], [*same, *same, 2]):
        assert store.write(pack(tokens), PAYLOAD)
        assert found(store, tokens)
    assert store.find(pack([*same, 1, *same, 0])) is None


def test_ids_are_compared_and_not_their_bytes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.write(pack([1, 2]), PAYLOAD)
    assert store.find(pack([1, 2 + (1 << 8), 3])) is None
    assert store.find(pack([1, 2])) is None
    assert store.find(b"") is None


def is_dropped(store: SavedPrefixes, there: Saved, caplog: pytest.LogCaptureFixture) -> bool:
    caplog.clear()
    return store.read(there) is None and store.find(following(TOKENS)) is None and len(caplog.messages) == 1


def damaged(whole: bytes) -> Iterator[bytes]:
    """A byte changed, wherever it is; cut off, wherever that is; gone on."""
    for i in range(len(whole)):
        yield whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :]
        yield whole[:i]
    yield whole + b"\0"
    yield whole + whole


def test_damage_is_found_when_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    [path] = files(tmp_path)
    whole = path.read_bytes()
    for content in damaged(whole):
        path.write_bytes(whole)
        store = opened(tmp_path)
        there = found(store, TOKENS)
        path.write_bytes(content)
        assert is_dropped(store, there, caplog)
        assert files(tmp_path) == []


def test_damage_before_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged head or length is found at the start, a damaged payload when it is read."""
    assert opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    [path] = files(tmp_path)
    n_whole = path.stat().st_size
    for content in damaged(path.read_bytes()):
        caplog.clear()
        path.write_bytes(content)
        store = opened(tmp_path)
        there = store.find(following(TOKENS))
        if there is None:
            assert len(caplog.messages) == 1
        else:
            assert len(content) == n_whole
            assert is_dropped(store, there, caplog)
        assert files(tmp_path) == []


def test_another_format_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(saved, "_VERSION", saved._VERSION + 1)
        assert opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    assert opened(tmp_path).find(following(TOKENS)) is None
    assert files(tmp_path) == []


def test_others_share_the_folder(tmp_path: Path) -> None:
    ours, theirs = opened(tmp_path), opened(tmp_path, "another model")
    assert theirs.write(pack(TOKENS), PAYLOAD)
    assert ours.find(following(TOKENS)) is None
    assert ours.write(pack(TOKENS), (b"ours",))
    for each, payload in ((opened(tmp_path), [b"ours"]), (opened(tmp_path, "another model"), list(PAYLOAD))):
        assert each.read(found(each, TOKENS)) == payload


def test_a_foreign_file_under_our_name_is_dropped(tmp_path: Path) -> None:
    assert opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    [path] = files(tmp_path)
    path.unlink()
    assert opened(tmp_path, "another model").write(pack(TOKENS), PAYLOAD)
    files(tmp_path)[0].rename(path)
    assert opened(tmp_path).find(following(TOKENS)) is None
    assert files(tmp_path) == []


def test_a_file_that_another_daemon_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(tmp_path)
    assert store.write(pack(TOKENS), PAYLOAD)
    there = found(store, TOKENS)
    there.path.unlink()
    assert is_dropped(store, there, caplog)


def test_dropping(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.write(pack([1]), PAYLOAD) and store.write(pack([1, 2]), PAYLOAD)
    store.drop(found(store, [1, 2]), "the engine does not take it")
    assert store.read(found(store, [1])) == list(PAYLOAD)
    assert len(files(tmp_path)) == 1


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    """Files of another identity, too; reading is using, also after a restart."""
    store = opened(tmp_path, max_bytes=3 * size_of_one(tmp_path) + 1)
    assert opened(tmp_path, "another model", start=1).write(pack([7]), PAYLOAD)
    assert store.write(pack([1]), PAYLOAD) and store.write(pack([2]), PAYLOAD)
    assert store.read(found(store, [1]))
    assert store.write(pack([3]), PAYLOAD)  # for the other's
    assert len(list(tmp_path.glob("*.prefix"))) == 3
    store = opened(tmp_path, max_bytes=3 * size_of_one(tmp_path) + 1, start=2 * 10**18)
    assert store.write(pack([4]), PAYLOAD)
    assert store.find(following([2])) is None
    assert all(store.read(found(store, [n])) == list(PAYLOAD) for n in (1, 3, 4))
    assert opened(tmp_path, "another model").find(following([7])) is None


def test_a_smaller_limit_holds_from_the_start(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert all(store.write(pack([n]), PAYLOAD) for n in range(5))
    store = opened(tmp_path, max_bytes=2 * size_of_one(tmp_path))
    assert [n for n in range(5) if store.find(following([n]))] == [3, 4]


def test_what_is_over_the_limit_is_not_written(tmp_path: Path) -> None:
    limit = 2 * size_of_one(tmp_path)
    store = opened(tmp_path / "store", max_bytes=limit)
    assert store.write(pack([1]), PAYLOAD)
    assert not store.write(pack([2]), (bytes(limit),))
    assert store.read(found(store, [1])) == list(PAYLOAD)
    assert len(files(tmp_path / "store")) == 1


@contextmanager
def no_file_over(n_bytes: int) -> Iterator[None]:
    """The system refuses what would make a file larger, in the middle of a write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 100, 4_000, 70_000, 1_000_000])
def test_a_full_disk(tmp_path: Path, room: int, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(tmp_path)
    assert store.write(pack([1]), PAYLOAD)
    caplog.clear()
    with no_file_over(room):
        assert not store.write(pack([1, 2]), (bytes(60_000), bytes(2_000_000)))
    assert len(caplog.messages) == 1 and "2 tokens" in caplog.messages[0]
    assert len(files(tmp_path)) == 1
    assert store.read(found(store, [1])) == list(PAYLOAD)
    assert store.write(pack([1, 2]), PAYLOAD)


def test_a_folder_that_can_not_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = opened(tmp_path / "file" / "below")
    assert len(caplog.messages) == 1
    assert store.find(following(TOKENS)) is None
    assert not store.write(pack(TOKENS), PAYLOAD)


def test_a_folder_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    assert opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    for name in ("utime", "unlink", "rename", "replace"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    store = opened(tmp_path)
    assert store.read(found(store, TOKENS)) == list(PAYLOAD)
    assert not store.write(pack([1]), PAYLOAD)


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    store = opened(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert not store.write(pack(TOKENS), PAYLOAD)
    assert not (tmp_path / "gone").exists()


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert not opened(tmp_path).write(pack(TOKENS), PAYLOAD)
    assert files(tmp_path) == []


def test_a_folder_elsewhere_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert not opened(tmp_path / "link").write(pack(TOKENS), PAYLOAD)
    assert files(tmp_path / "elsewhere") == []


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dead.part").write_bytes(b"half")
    living = tmp_path / "living.part"
    with living.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        opened(tmp_path)
        assert files(tmp_path) == [living]
    opened(tmp_path)
    assert files(tmp_path) == []


def payload_of(number: int) -> list[bytes]:
    rng = random.Random(number)
    return [rng.randbytes(rng.randrange(200_000)) for _ in range(rng.randrange(4))]


WRITER = """
import sys
from pathlib import Path
from inference.kept import pack
from inference.saved import SavedPrefixes
from tests.inference.test_saved import IDENTITY, payload_of

class Halting(bytes):  # stops the writer when its turn comes, until it is killed
    def __buffer__(self, flags):
        print("half", flush=True)
        sys.stdin.read()

store = SavedPrefixes(Path(sys.argv[1]), IDENTITY, 1 << 30)
if sys.argv[2] == "half":
    store.write(pack([1, 2]), [bytes(100_000), Halting(b"the rest")])
for number in range(int(sys.argv[2]), 1 << 30):
    assert store.write(pack([number]), payload_of(number))
    print(number, flush=True)
"""


@contextmanager
def writer(folder: Path, argument: str) -> Iterator[subprocess.Popen[str]]:
    """A process that writes, until the block ends; then it is killed."""
    command = [sys.executable, "-c", WRITER, str(folder), argument]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_a_writer_killed_in_the_middle(tmp_path: Path) -> None:
    before = opened(tmp_path)
    assert before.write(pack([1]), PAYLOAD)
    with writer(tmp_path, "half") as process:
        assert process.stdout is not None and process.stdout.readline() == "half\n"
        opened(tmp_path)
        assert len(files(tmp_path)) == 2  # it lives
    store = opened(tmp_path)
    assert len(files(tmp_path)) == 1
    assert store.read(found(store, [1])) == list(PAYLOAD)


def _last_lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it said, unheard, before it was killed here."""
    process.kill()
    assert process.stdout is not None
    yield from process.stdout


def test_writers_killed_anywhere(tmp_path: Path) -> None:
    """Whatever they said they had written is there and right, and nothing else is."""
    rng, said = random.Random(9), 0
    for _ in range(5):
        with writer(tmp_path, str(said)) as process:
            assert process.stdout is not None
            lines = itertools.islice(process.stdout, rng.randrange(1, 20))
            for line in itertools.chain(lines, _last_lines(process)):
                assert int(line) == said
                said += 1
        store = opened(tmp_path)
        there = [found(store, [n]) for n in range(said)]
        assert all(store.read(each) == payload_of(n) for n, each in enumerate(there))
        last = store.find(following([said]))  # killed before it could say so
        assert last is None or store.read(last) == payload_of(said)
        assert files(tmp_path) == sorted(each.path for each in (*there, last) if each)


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_an_engine_goes_on_after_a_restart(tmp_path: Path, engine: EngineName) -> None:
    settings = EngineSettings(n_ctx=512, n_cells=512, max_sequences=2)
    text = "def total(items):\n    return sum(item.price for item in items)\n\n\nclass Basket:\n    def "
    said = []
    for is_restarted in (False, True):
        backend = load(resolve("embedded", engine), settings)
        store = opened(tmp_path, backend.info.state_format)
        prompt = backend.tokenizer.encode(text, parse_special=False)
        there = store.find(pack(prompt))
        if is_restarted:
            assert there is not None and there.n_tokens == len(prompt) - 4
            payload = store.read(there)
            assert payload is not None
            seq, _ = backend.load(payload, there.n_tokens)
        else:
            assert there is None
            seq = backend.open()
            backend.evaluate(seq, prompt[:-4])
            assert store.write(pack(prompt[:-4]), backend.dump(seq, backend.snapshot(seq)))
        backend.evaluate(seq, prompt[-4:])
        sampler, answer = backend.sampler(GREEDY), list[int]()
        for _ in range(8):
            answer.append(backend.sample(seq, sampler))
            backend.evaluate(seq, answer[-1:])
        said.append(answer)
        backend.shutdown()
    assert said[0] == said[1]
