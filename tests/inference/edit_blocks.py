"""Reads answers under `EditBlocks` the plain way, to hold the grammar to what it promises."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.edit_blocks import DIVIDE, REPLACE, SEARCH, is_marker, lines_of


@dataclass(frozen=True, slots=True)
class Block:
    path: str
    search: tuple[str, ...]
    replace: tuple[str, ...]


def parse(answer: str) -> list[Block]:
    """Every line belongs to one place only, so a marker is never text. Raises ValueError."""
    lines = answer.removesuffix("\n").split("\n")
    blocks = []
    while lines:
        divide, end = lines.index(DIVIDE), lines.index(REPLACE)
        if lines[1] != SEARCH or not 2 < divide < end:
            raise ValueError("not a block")
        blocks.append(Block(lines[0], tuple(lines[2:divide]), tuple(lines[divide + 1 : end])))
        lines = lines[end + 1 :]
    return blocks


def check_applies(answer: str, files: Mapping[str, str]) -> None:
    """Each SEARCH stands once in its file, in whole lines; files come in their order, a file's blocks do not meet."""
    blocks = parse(answer)
    assert blocks
    order = list(files)
    ends = dict.fromkeys(files, 0)
    for before, block in zip([blocks[0], *blocks], blocks, strict=False):
        assert order.index(before.path) <= order.index(block.path)
        lines, n = lines_of(files[block.path]), len(block.search)
        (place,) = [i for i in range(len(lines)) if tuple(lines[i : i + n]) == block.search]
        assert place >= ends[block.path]
        ends[block.path] = place + n
        assert not any(map(is_marker, (*block.search, *block.replace)))
