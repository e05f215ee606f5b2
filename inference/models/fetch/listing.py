"""What a hub says that a repository holds, and which of it is fetched. Pure: knows no network and no disk.

Weights and their descriptions by name, nothing else: what could be run is never on the list, whatever it is called.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference.models.entries import Variant

# No folders, no code, no pickles. A hub's names become names of files here.
_WEIGHTS = re.compile(r"model[\w.-]*\.safetensors")
_GGUF = re.compile(r"\w[\w.+-]*\.gguf")
_BESIDE = (
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.jinja",
    "chat_template.json",
)
NEEDED = ("config.json", "tokenizer.json")  # beside safetensors
MAX_BESIDE_BYTES = 256 << 20  # the largest tokenizers have 30 MB


class FetchFailed(Exception):
    """The model can not be fetched. The message is for the user, `fix` says what to do."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class NoSuchRevision(FetchFailed):
    """The repository is there, and not at this commit any more."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One file as the hub describes it. One of the sums is there: of the content, or of git's blob of it."""

    name: str
    n_bytes: int
    sha256: str | None
    git_sha1: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[Remote, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a model is to come from. `revision` None: what the hub's main branch is now. `gguf`: the file, if one."""

    repository: str
    revision: str | None
    engine: str
    gguf: str | None
    name: str  # of the folder it gets, without its commit
    variant: Variant | None = None  # what the catalogue knows of it


def chosen(wanted: Wanted, listing: Listing) -> tuple[Remote, ...]:
    """The files to fetch, largest last. Raises FetchFailed where the hub lacks one or has another than is known."""
    if wanted.revision is not None and listing.commit != wanted.revision:
        raise FetchFailed(
            f"the hub answered with commit {listing.commit}, not with {wanted.revision}", "the catalogue names another"
        )
    files = _gguf(wanted, listing) if wanted.engine == "llama" else _safetensors(listing)
    for file in files:
        _check(file)
    if wanted.variant is not None:
        _check_known(wanted.variant, files)
    return tuple(sorted(files, key=lambda file: (file.n_bytes, file.name)))


def _gguf(wanted: Wanted, listing: Listing) -> list[Remote]:
    offered = {file.name: file for file in listing.files if _GGUF.fullmatch(file.name)}
    names = [file.name for file in wanted.variant.files] if wanted.variant is not None else _asked(wanted.gguf, offered)
    missing = [name for name in names if name not in offered]
    if missing:
        raise FetchFailed(f"{listing.repository} has no {missing[0]}; it has: {_some(offered)}", "name another variant")
    return [offered[name] for name in names]


def _asked(name: str | None, offered: dict[str, Remote]) -> list[str]:
    """A file of a repository that the catalogue does not know: named, or the only one; with its parts."""
    if name is None and len(offered) != 1:
        raise FetchFailed(f"there are {len(offered)} .gguf files: {_some(offered)}", "name one: OWNER/NAME/FILE.gguf")
    name = name or next(iter(offered))
    parts = re.fullmatch(r"(.+)-00001-of-(\d{5})\.gguf", name)
    if parts is None:
        return [name]
    return [f"{parts[1]}-{n:05d}-of-{parts[2]}.gguf" for n in range(1, int(parts[2]) + 1)]


def _safetensors(listing: Listing) -> list[Remote]:
    found = [file for file in listing.files if _WEIGHTS.fullmatch(file.name) or file.name in _BESIDE]
    names = {file.name for file in found}
    missing = [name for name in NEEDED if name not in names]
    if missing or not any(_WEIGHTS.fullmatch(name) for name in names):
        raise FetchFailed(
            f"{listing.repository} has no {missing[0] if missing else 'model*.safetensors'}",
            "the mlx engine needs config.json, tokenizer.json and safetensors: name another repository",
        )
    return found


def _check(file: Remote) -> None:
    if file.n_bytes < 0:
        raise FetchFailed(f"the hub does not say how large {file.name} is", "such a file is not fetched")
    if file.sha256 is None and file.git_sha1 is None:
        raise FetchFailed(f"the hub gives no checksum of {file.name}", "such a file is not fetched: use another hub")
    if file.name in _BESIDE and file.n_bytes > MAX_BESIDE_BYTES:
        raise FetchFailed(f"{file.name} has {file.n_bytes} bytes, which no such file has", "the repository is odd")


def _check_known(variant: Variant, files: Sequence[Remote]) -> None:
    """What the catalogue has seen before must be the same today."""
    offered = {file.name: file for file in files}
    for known in variant.files:
        file = offered.get(known.name)
        if file is None:
            raise FetchFailed(f"{variant.repository} has no {known.name} any more", "run scripts/refresh-catalogue")
        if known.n_bytes not in (None, file.n_bytes) or (known.sha256 and file.sha256 not in (None, known.sha256)):
            raise FetchFailed(
                f"{known.name} is not the file that the catalogue knows: its size or checksum differs",
                "do not use it before you know why; scripts/refresh-catalogue shows what the hub has now",
            )


def pinned(wanted: Wanted, files: Sequence[Remote]) -> Iterator[Remote]:
    """The files with the catalogue's checksums, which count more than the hub's."""
    known = {each.name: each.sha256 for each in wanted.variant.files} if wanted.variant is not None else {}
    for file in files:
        yield Remote(file.name, file.n_bytes, known.get(file.name) or file.sha256, file.git_sha1)


def _some(names: dict[str, Remote], n: int = 8) -> str:
    listed = sorted(names)
    return ", ".join(listed[:n]) + (" …" if len(listed) > n else "") if listed else "none"
