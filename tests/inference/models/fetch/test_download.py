"""One file and what can go wrong with it, over a real connection to a hub of our own."""

import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from inference.models.fetch.download import TRIES, download
from inference.models.fetch.hub import Endpoint, Hub, endpoint
from inference.models.fetch.listing import FetchFailed, Listing, Remote
from tests.hub import COMMIT, FakeHub, Fault, serving

OCTETS = random.Random(7).randbytes(1_000_000)
FILE = Remote("model.gguf", len(OCTETS), hashlib.sha256(OCTETS).hexdigest())
LISTING = Listing("some/model", COMMIT, (FILE,))
TIMEOUT_S = 5.0


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with serving(FakeHub({"some/model": {"model.gguf": OCTETS, "config.json": b"{}"}})) as hub:
        yield hub


def fetch(
    fake: FakeHub, folder: Path, file: Remote = FILE, timeout_s: float = TIMEOUT_S, where: Endpoint | None = None
) -> tuple[list[int], list[float]]:
    """What the progress was told, and the pauses that were made."""
    told: list[int] = []
    pauses: list[float] = []
    hub = Hub(where or endpoint(fake.url), lambda host: None, timeout_s)
    try:
        download(hub, LISTING, file, folder, lambda name, n: told.append(n), pauses.append)
    finally:
        hub.close()
    return told, pauses


def refused(fake: FakeHub, folder: Path, file: Remote = FILE, where: Endpoint | None = None) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetch(fake, folder, file, where=where)
    assert not (folder / file.name).exists(), "it has its name only when it is whole"
    return caught.value.message


def test_a_whole_file(fake: FakeHub, tmp_path: Path) -> None:
    told, pauses = fetch(fake, tmp_path)
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS
    assert (sum(told), pauses) == (len(OCTETS), [])
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
    told, _ = fetch(fake, tmp_path)
    assert sum(told) == len(OCTETS) and fake.sent("model.gguf") == [None], "what is there is not asked for again"


def test_git_s_sum_of_a_small_file(fake: FakeHub, tmp_path: Path) -> None:
    sum_of = hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
    fetch(fake, tmp_path, Remote("config.json", 2, None, sum_of))
    assert (tmp_path / "config.json").read_bytes() == b"{}"
    assert "checksum" in refused(fake, tmp_path / "..", Remote("config.json", 2, None, "0" * 40))


def test_cut_in_the_middle_it_goes_on_from_there(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "cut", 2, 300_000)]
    told, pauses = fetch(fake, tmp_path)
    assert fake.sent("model.gguf") == [None, "bytes=300000-", "bytes=600000-"]
    assert (sum(told), len(pauses)) == (len(OCTETS), 2)
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS


def test_what_an_earlier_process_left_is_used(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf.part").write_bytes(OCTETS[:123_456])
    told, _ = fetch(fake, tmp_path)
    assert fake.sent("model.gguf") == ["bytes=123456-"] and told[0] == 123_456
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS


def test_what_an_earlier_process_left_wrong_is_fetched_anew(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf.part").write_bytes(bytes(500_000))
    told, _ = fetch(fake, tmp_path)
    assert fake.sent("model.gguf") == ["bytes=500000-", None]
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS and sum(told) == len(OCTETS)
    (tmp_path / "model.gguf").unlink()
    (tmp_path / "model.gguf.part").write_bytes(bytes(len(OCTETS) + 1))
    fetch(fake, tmp_path)
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS


def test_a_hub_without_ranges(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf.part").write_bytes(OCTETS[:400_000])
    fake.faults = [Fault("model.gguf", "no-range", None)]
    told, _ = fetch(fake, tmp_path)
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS and sum(told) == len(OCTETS)


def test_another_range_than_asked_for_is_not_taken(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf.part").write_bytes(OCTETS[:400_000])
    fake.faults = [Fault("model.gguf", "other-range", 1)]
    fetch(fake, tmp_path)
    assert fake.sent("model.gguf") == ["bytes=400000-"] * 2
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS


def test_corrupt_once_and_corrupt_always(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "corrupt", 1)]
    told, _ = fetch(fake, tmp_path)
    assert fake.sent("model.gguf") == [None, None] and sum(told) == len(OCTETS)
    (tmp_path / "model.gguf").unlink()
    fake.faults = [Fault("model.gguf", "corrupt", None)]
    assert "twice with a checksum" in refused(fake, tmp_path)
    assert list(tmp_path.iterdir()) == [], "what is wrong is not kept"


def test_more_than_was_announced_is_not_written(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "oversized", None, 5_000_000)]
    assert "more than the 1000000 bytes" in refused(fake, tmp_path)
    assert (tmp_path / "model.gguf.part").stat().st_size <= len(OCTETS)


def test_a_hub_that_falls_silent_is_asked_again(fake: FakeHub, tmp_path: Path) -> None:

    release = threading.Event()
    waited: list[int] = []

    def before_piece(name: str, at: int) -> None:
        if at >= 262_144 and not waited:
            waited.append(at)
            release.wait(20)

    fake.before_piece = before_piece
    try:
        fetch(fake, tmp_path, timeout_s=0.3)
    finally:
        release.set()
    assert waited and len(fake.sent("model.gguf")) == 2
    assert fake.sent("model.gguf")[1] is not None, "it goes on"
    assert (tmp_path / "model.gguf").read_bytes() == OCTETS


def test_a_hub_that_is_down_and_comes_back_or_does_not(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "status", 3, 503)]
    _, pauses = fetch(fake, tmp_path)
    assert pauses == [2.0, 4.0, 8.0]
    (tmp_path / "model.gguf").unlink()
    fake.faults = [Fault("model.gguf", "status", None, 500)]
    fake.asked.clear()
    assert "status 500" in refused(fake, tmp_path) and len(fake.asked) == TRIES


@pytest.mark.parametrize(("status", "said"), [(401, "refuses"), (403, "refuses"), (404, "has no"), (418, "status 418")])
def test_answers_that_do_not_change_are_not_asked_for_again(
    status: int, said: str, fake: FakeHub, tmp_path: Path
) -> None:
    fake.faults = [Fault("model.gguf", "status", None, status)]
    assert said in refused(fake, tmp_path) and len(fake.asked) == 1


def test_a_compressed_answer_is_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "gzip", None)]
    assert "compresses" in refused(fake, tmp_path)


def test_redirects_go_where_the_user_trusts_and_the_token_stays(fake: FakeHub, tmp_path: Path) -> None:
    with serving(FakeHub({"some/model": {"model.gguf": OCTETS}})) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        fake.faults = [Fault("model.gguf", "redirect", None, elsewhere)]
        assert "sends on to http://localhost, which is not its own" in refused(fake, tmp_path)
        assert other.asked == []
        fetch(fake, tmp_path, where=endpoint(fake.url, ("localhost",), "hf_secret"))
        assert [token for *_, token in fake.asked] == [False, True]
        assert [token for *_, token in other.asked] == [False], "not even to a host that was named"


def test_a_redirect_to_itself_ends(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults = [Fault("model.gguf", "redirect", None, fake.url)]
    assert "without end" in refused(fake, tmp_path)


def test_a_full_disk(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fetch(fake, tmp_path)


def test_the_public_hub_may_send_to_its_own_hosts_only() -> None:

    hub = endpoint(None)
    allowed = ["https://huggingface.co/x", "https://cdn-lfs.hf.co/x", "https://cas-bridge.xethub.hf.co/x"]
    refusals = ["http://huggingface.co/x", "https://hf.co.evil.org/x", "https://evilhf.co/x", "https://a@cdn.hf.co/x"]
    assert all(hub.may_send_to(urlsplit(url)) for url in allowed)
    assert not any(hub.may_send_to(urlsplit(url)) for url in refusals)
    mirror = endpoint("https://mirror.example", ("cdn.example",))
    assert mirror.may_send_to(urlsplit("https://cdn.example/x"))
    assert not mirror.may_send_to(urlsplit("https://cdn-lfs.hf.co/x"))


@pytest.mark.parametrize("url", ["http://hub.example", "ftp://hub.example", "https://", "https://me:pw@hub.example"])
def test_what_is_no_address_of_a_hub(url: str) -> None:
    with pytest.raises(FetchFailed, match="no address of a hub"):
        endpoint(url)
