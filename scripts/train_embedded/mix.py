"""files.jsonl -> shards of packed training rows (token ids and which of them are scored).

Deterministic: shard i depends on the seed, on i and on whether it lies in the last part of the run. Kinds of document
and their shares of tokens are `SHARES`; in the last part, `LATE_SHARES`: more edits, and the marked
fill-in-the-middle forms.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edits
import fim
import numpy as np
import probes
from tokenizer import SPECIAL_TOKENS
from tokenizers import Tokenizer

ROW = 2048  # tokens that predict; a stored row has one more
SHARD_ROWS = 128
LATE_FROM = 0.5  # fraction of the run after which LATE_SHARES holds
SHARES = {"raw": 0.14, "fim": 0.54, "cross": 0.16, "copy": 0.05, "edit": 0.11}
LATE_SHARES = {"raw": 0.10, "fim": 0.54, "cross": 0.13, "copy": 0.04, "edit": 0.15, "marked": 0.04}
TYPICAL_TOKENS = {"raw": 1100, "fim": 680, "cross": 800, "copy": 90, "edit": 330, "marked": 400}
CONTROL = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))  # a source that spells a control token is left out
STRIDE = 2600  # characters between the windows of a text
WORD_COUNT = 900  # sub-words of identifiers that synthetic names are made of


@dataclass(frozen=True, slots=True)
class Document:
    """Text with special tokens; what comes before `scored_from` (characters) carries no loss."""

    text: str
    scored_from: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """The training texts and what is drawn from them."""

    texts: list[str]
    windows: list[tuple[int, int]]  # (text, offset), shuffled once
    packages: list[tuple[str, list[int], list[fim.CrossUse]]]
    functions: list[tuple[str, str, str]]
    paths: list[str]
    words: list[str]


HEADER = re.compile(r"\A(?:(?:(?:#|//)[^\n]*)?\n)+|\A/\*.*?\*/\s*", re.S)


def without_licence(text: str) -> str:
    """The text without an opening comment about copyright: thousands of copies of it would teach one thing."""
    header = HEADER.match(text)
    return text[header.end() :] if header and re.search("licen[cs]e|copyright", header[0], re.I) else text


def words_of(texts: list[str]) -> list[str]:
    """The commonest lower-case parts of identifiers, for synthetic names."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(
            part
            for name in fim.IDENTIFIER.findall(text[:4000])
            for part in name.lower().split("_")
            if 3 <= len(part) <= 9
        )
    return [word for word, _ in counts.most_common(WORD_COUNT + 60) if word.isalpha() and word not in edits.KEYWORDS][
        :WORD_COUNT
    ]


def read(files: Path, split: str, seed: int) -> Source:
    """Everything the documents are drawn from, for one split."""
    rows = [
        row
        for row in map(json.loads, files.read_text().splitlines())
        if row["split"] == split and not CONTROL.search(row["text"])
    ]
    rng = random.Random(seed)
    texts, paths = [without_licence(r["text"]) for r in rows], [r["path"] for r in rows]
    windows = [(i, start) for i, text in enumerate(texts) for start in range(0, max(1, len(text) - 600), STRIDE)]
    rng.shuffle(windows)
    packages = []
    for name in sorted({r["package"] for r in rows}):
        members = [i for i, r in enumerate(rows) if r["package"] == name and r["path"].endswith(".py")]
        uses = fim.cross_uses([texts[i] for i in members], 12, rng)
        packages += [(name, members, uses)] if uses else []
    functions = [f for text in texts for f in edits.functions(text) if len(f[2]) < 500]
    rng.shuffle(functions)
    return Source(texts, windows, packages, functions, paths, words_of(texts))


class Writer:
    """Draws documents of each kind; windows are used without replacement, in order."""

    def __init__(self, source: Source, seed: str, first_window: int) -> None:
        self.source, self.rng, self.next_window = source, random.Random(seed), first_window

    def stretch(self, low: int, high: int) -> tuple[str, bool]:
        """The next window of the corpus, low..high characters, and whether it reaches its file's end."""
        i, start = self.source.windows[self.next_window % len(self.source.windows)]
        self.next_window += 1
        text = self.source.texts[i]
        if self.next_window > len(self.source.windows):  # a later round through the corpus is cut elsewhere
            start = min(start + self.rng.randrange(STRIDE), max(0, len(text) - low))
        part = fim.window(text, start, self.rng.randrange(low, high))
        return part, text.endswith(part)

    def raw(self) -> Document:
        text, whole = self.stretch(1200, 7000)
        return Document(text + (fim.END if whole else ""))

    def fim(self) -> Document:
        text, whole = self.stretch(700, self.rng.choice((3200, 3200, 6400)))
        if whole and self.rng.random() < 0.5:
            return Document(fim.joint(fim.Hole(text.rstrip("\n"), "", "")))
        if len(text) < 200:
            return Document(fim.joint(fim.cut(text, self.rng)))
        room = min(len(text) // 2, self.rng.choice((60, 150, 300, 600, 900)))
        end = len(text) - room
        end = fim.line_end(text, end) if self.rng.random() < 0.85 else end
        return Document(fim.joint(fim.Hole(text[:end], "", text[end:])))

    def marked(self) -> Document:
        text, _ = self.stretch(500, 2000)
        hole = fim.cut(text, self.rng)
        return Document(self.rng.choice((fim.prefix_first, fim.suffix_first))(hole))

    def cross(self) -> Document:
        name, members, uses = self.rng.choice(self.source.packages)
        use = self.rng.choice(uses)
        texts, paths = [self.source.texts[i] for i in members], [self.source.paths[i] for i in members]
        return Document(fim.cross_file(texts, paths, name, use, self.rng))

    def copy(self) -> Document:
        text = probes.make(self.rng, self.source.words).text(answered=True)
        return Document(text, text.index("<|fim_middle|>"))

    def edit(self) -> Document:
        while True:
            chosen = self.rng.sample(self.source.functions, self.rng.choice((1, 1, 2)))
            kind, n_files = self.rng.choice(("rename", "rename", "call", "parameter")), self.rng.choice((1, 2, 2))
            task = edits.make(kind, n_files, chosen, self.rng, self.source.words)
            if task is not None:
                prompt = edits.prompt(task, think=self.rng.random() < 0.85)
                return Document(f"{prompt}{edits.blocks(task)}<|im_end|>\n", len(prompt))


def scored(encoding: Any, document: Document, unscored: frozenset[int]) -> list[bool]:
    """Per token: is it a target? Structural control tokens and the unscored part are not."""
    return [
        span[0] >= document.scored_from and token not in unscored
        for token, span in zip(encoding.ids, encoding.offsets, strict=False)
    ]


def rows_of(
    documents: Callable[[], Document], tokenizer: Tokenizer, count: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pack documents into `count` rows; one that does not fit is cut, or begins the next row if part is not scored."""
    structural = ("prefix", "middle", "suffix")
    unscored = frozenset(i for t in structural if (i := tokenizer.token_to_id(f"<|fim_{t}|>")) is not None)
    ids, flags = np.zeros((count, ROW + 1), np.uint16), np.zeros((count, ROW + 1), np.uint8)
    row, at = 0, 0
    while row < count:
        batch = [documents() for _ in range(64)]
        for document, encoding in zip(
            batch, tokenizer.encode_batch([d.text for d in batch], add_special_tokens=False), strict=False
        ):
            size, room = len(encoding.ids), ROW + 1 - at
            if size > room and document.scored_from and size <= ROW + 1:
                row, at, room = row + 1, 0, ROW + 1
            take = min(size, room)
            if row >= count:
                break
            ids[row, at : at + take] = encoding.ids[:take]
            flags[row, at : at + take] = scored(encoding, document, unscored)[:take]
            at += take
            if at == ROW + 1:
                row, at = row + 1, 0
    return ids, flags


def shard(
    source: Source, tokenizer: Tokenizer, seed: int, index: int, total: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Shard `index` of `total`: rows (SHARD_ROWS, ROW+1) of ids and of flags, in a seeded order."""
    shares = LATE_SHARES if index >= LATE_FROM * total else SHARES
    writer = Writer(source, f"{seed}-{index}", index * SHARD_ROWS * 3)
    kinds, weights = list(shares), [share / TYPICAL_TOKENS[kind] for kind, share in shares.items()]
    ids, flags = rows_of(lambda: getattr(writer, writer.rng.choices(kinds, weights)[0])(), tokenizer, SHARD_ROWS)
    order = np.random.default_rng([seed, index]).permutation(SHARD_ROWS)
    return ids[order], flags[order]


def make_shards(source: Source, arguments: argparse.Namespace, rank: int) -> None:
    """One process's part: every `--workers`-th shard from --first + `rank` on; one that exists is left alone."""
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    for index in range(arguments.first + rank, arguments.shards, arguments.workers):
        path = arguments.out / f"shard-{index:04}.npz"
        if not path.exists():
            ids, flags = shard(source, tokenizer, arguments.seed, index, arguments.shards)
            np.savez(path.with_suffix(".part.npz"), ids=ids, flags=flags)
            path.with_suffix(".part.npz").rename(path)


def main() -> None:
    """Write shard-NNNN.npz files; a shard that exists is left alone, so this resumes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, required=True, help=f"each has {SHARD_ROWS * ROW:,} tokens")
    parser.add_argument("--first", type=int, default=0, help="leave out the shards before this one")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = read(arguments.files, "train", arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if arguments.workers == 1 else "false"
    fork = multiprocessing.get_context("fork")  # the texts are shared, not copied
    others = [fork.Process(target=make_shards, args=(source, arguments, rank)) for rank in range(1, arguments.workers)]
    for process in others:
        process.start()
    make_shards(source, arguments, 0)
    for process in others:
        process.join()
    sys.exit(any(process.exitcode for process in others))


if __name__ == "__main__":
    main()
