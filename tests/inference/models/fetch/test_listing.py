"""Which files of a repository are fetched: weights and what describes them; nothing that could be run."""

from dataclasses import replace

import pytest

from inference.models.entries import File, Variant
from inference.models.fetch.listing import FetchFailed, Listing, Remote, Wanted, chosen, pinned
from tests.hub import COMMIT

SUM = "a" * 64


def remote(name: str, n_bytes: int = 5000, sha256: str | None = SUM) -> Remote:
    return Remote(name, n_bytes, sha256, None if sha256 else "b" * 40)


def listing(*names: str | Remote) -> Listing:
    return Listing("o/m", COMMIT, tuple(remote(each) if isinstance(each, str) else each for each in names))


MLX = Wanted("o/m", None, "mlx", None, "m")
GGUF = Wanted("o/m", None, "llama", None, "m")
KNOWN = Variant("q4", "llama", 4.5, "o/m", COMMIT, (File("m.gguf", 5000, SUM),), 5000, "hub", "2026-11-26")


def names(wanted: Wanted, offered: Listing) -> set[str]:
    return {file.name for file in chosen(wanted, offered)}


def refused(wanted: Wanted, offered: Listing) -> str:
    with pytest.raises(FetchFailed) as caught:
        chosen(wanted, offered)
    return caught.value.message


def test_safetensors_and_their_descriptions_and_nothing_that_runs() -> None:
    bad = ("modeling_qwen.py", "setup.sh", "pytorch_model.bin", "model.pt", "model.pkl", "sub/model.safetensors")
    odd = ("../model.safetensors", "model.safetensors.exe", "adapter.safetensors", ".env", "README.md", "x.json")
    good = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json")
    beside = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
    assert names(MLX, listing(*bad, *odd, *good, *beside)) == {*good, *beside}


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_the_engine_needs_must_be_there(gone: str) -> None:
    there = {"config.json", "tokenizer.json", "model.safetensors"} - {gone}
    assert refused(MLX, listing(*there)) == f"o/m has no {gone.replace('model.', 'model*.')}"


def test_the_gguf_is_named_or_the_only_one() -> None:
    assert names(GGUF, listing("a.gguf", "README.md", "run.py", "mmproj/b.gguf")) == {"a.gguf"}
    assert "there are 2 .gguf files: a.gguf, b.gguf" in refused(GGUF, listing("a.gguf", "b.gguf"))
    assert names(replace(GGUF, gguf="b.gguf"), listing("a.gguf", "b.gguf")) == {"b.gguf"}
    assert "has no c.gguf" in refused(replace(GGUF, gguf="c.gguf"), listing("a.gguf"))
    assert "there are 0 .gguf files: none" in refused(GGUF, listing("model.safetensors"))


def test_all_parts_of_a_split_gguf() -> None:
    parts = [f"m-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    assert names(replace(GGUF, gguf=parts[0]), listing(*parts, "other.gguf")) == set(parts)
    assert f"has no {parts[2]}" in refused(replace(GGUF, gguf=parts[0]), listing(*parts[:2]))


def test_the_smallest_come_first() -> None:
    offered = listing(remote("model.safetensors", 9000), remote("config.json", 20, None), "tokenizer.json")
    assert [file.name for file in chosen(MLX, offered)] == ["config.json", "tokenizer.json", "model.safetensors"]


def test_sizes_and_sums_must_be_said() -> None:
    assert "how large" in refused(GGUF, listing(Remote("a.gguf", -1, SUM)))
    assert "no checksum" in refused(GGUF, listing(Remote("a.gguf", 5, None)))
    big = Remote("config.json", 1 << 30, SUM)
    assert "no such file has" in refused(MLX, listing(big, "tokenizer.json", "model.safetensors"))


def test_what_the_catalogue_knows_must_be_what_the_hub_has() -> None:
    wanted = replace(GGUF, variant=KNOWN, revision=COMMIT)
    assert names(wanted, listing("m.gguf", "other.gguf")) == {"m.gguf"}
    assert "not the file that the catalogue knows" in refused(wanted, listing(remote("m.gguf", 5001)))
    assert "not the file that the catalogue knows" in refused(wanted, listing(remote("m.gguf", 5000, "c" * 64)))
    assert "has no m.gguf" in refused(wanted, listing("n.gguf"))
    assert "answered with commit" in refused(replace(wanted, revision="f" * 40), listing("m.gguf"))
    (file,) = pinned(wanted, [Remote("m.gguf", 5000, None, "b" * 40)])
    assert file.sha256 == SUM, "the catalogue's sum counts where the hub gives none"
