"""Measure the shipped GGUF on held-out packages: a table for people and evaluation.json beside the model card.

Holes: a random line of a held-out Python file, the cursor at a random place inside its text, the rest of the line to be
found; joint suffix-first prompt, healed. Everything is greedy and seeded. Needs cyllama; torch is not used.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import edits
import fim
import mix
import numpy as np
import probes
from baselines import FrequentLine, SixGram
from generate import Engine
from goals import table

HERE = Path(__file__).parent
PREFIX_CHARS, SUFFIX_CHARS = 1500, 500
BITS_TEXTS, BITS_CHARS, BITS_ROW = 40, 4000, 1024
BASELINE_TOKENS = 12_000_000  # of the training texts, for the 6-gram
LINE_TOKENS, EDIT_TOKENS = 48, 320


@dataclass(frozen=True, slots=True)
class Case:
    """One hole and what was said: the rest of the line wanted, the model's and the baselines' answers."""

    prefix: str
    wanted: str
    model: str
    log_probability: float
    line: str
    six_gram: str


def holes(texts: list[str], count: int, seed: int) -> list[fim.Hole]:
    """Rest-of-line holes: a non-blank line, the cursor after its first character and before its last."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        start, end = text.rfind("\n", 0, at) + 1, fim.line_end(text, at)
        line = text[start:end]
        body = len(line) - len(line.lstrip())
        if len(line.strip()) < 3:
            continue
        hole = fim.rest_of_line(text, start + rng.randrange(body + 1, len(line.rstrip())))
        found.append(
            fim.Hole(
                hole.prefix[-PREFIX_CHARS:].partition("\n")[2] if len(hole.prefix) > PREFIX_CHARS else hole.prefix,
                hole.middle.rstrip(),
                fim.window(hole.suffix, 0, SUFFIX_CHARS),
            )
        )
    return found


def prompt_of(hole: fim.Hole) -> str:
    """The joint prompt: everything up to the cursor."""
    return fim.joint(fim.Hole(hole.prefix, "", hole.suffix), end="")


def six_gram_line(model: SixGram, engine: Engine, hole: fim.Hole) -> str:
    """The 6-gram's greedy rest of the line, healed in the same way."""
    ids, typed = engine.healed(hole.prefix, hole.prefix)
    made = b""
    for _ in range(LINE_TOKENS):
        allowed = engine.allowed(typed[len(made) :])
        token = model.next(ids, allowed)
        made += engine.bytes[token]
        ids = [*ids, token]
        if b"\n" in made[len(typed) :]:
            break
    return made[len(typed) :].decode("utf-8", "replace").split("\n")[0]


@dataclass(frozen=True, slots=True)
class Training:
    """What the evaluation needs of the training texts: words for probes and the baselines' answers, per hole."""

    words: list[str]
    answers: list[tuple[str, str]]  # most frequent line, 6-gram


def training(engine: Engine, test: list[fim.Hole], files: Path, seed: int) -> Training:
    """Read the training texts (a minute) and let both baselines answer."""
    train = mix.read(files, "train", seed)
    frequent = FrequentLine(train.texts)
    ids: list[int] = []
    for text in train.texts:
        ids += engine.tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) > BASELINE_TOKENS:
            break
    grams = SixGram(np.array(ids, np.uint16))
    said = [(frequent.rest(h.prefix.rpartition("\n")[2]), six_gram_line(grams, engine, h).rstrip()) for h in test]
    return Training(train.words, said)


def remembered(engine: Engine, test: list[fim.Hole], arguments: argparse.Namespace) -> Training:
    """The same from `--cache`, which it writes at the first use; it does not depend on the weights."""
    if arguments.cache is not None and arguments.cache.exists():
        kept = json.loads(arguments.cache.read_text())
        return Training(kept["words"], [(line, grams) for line, grams in kept["answers"]])
    found = training(engine, test, arguments.files, arguments.seed)
    if arguments.cache is not None:
        arguments.cache.write_text(json.dumps(asdict(found)))
    return found


def lines(engine: Engine, test: list[fim.Hole], known: Training) -> list[Case]:
    """The model and both baselines on every hole."""
    cases = []
    for hole, (line, grams) in zip(test, known.answers, strict=True):
        out = engine.complete(prompt_of(hole), hole.prefix, LINE_TOKENS, one_line=True)
        cases.append(Case(hole.prefix, hole.middle, out.text.rstrip(), out.log_probability, line, grams))
    return cases


def copies(engine: Engine, words: list[str], count: int, seed: int) -> float:
    """Share of copy probes whose completion is the whole identifier."""
    rng, right = random.Random(f"copy-{seed}"), 0
    for _ in range(count):
        probe = probes.make(rng, words)
        said = engine.complete(probe.text(answered=False), probe.hole.prefix, 24, one_line=True).text
        match = fim.IDENTIFIER.match(said)
        right += match is not None and match[0] == probe.name
    return right / count


def renames(engine: Engine, source: mix.Source, count: int, seed: int) -> float:
    """Share of two-file renames whose blocks, applied, give exactly the files wanted."""
    rng, right, done = random.Random(f"rename-{seed}"), 0, 0
    while done < count:
        task = edits.make("rename", 2, [rng.choice(source.functions)], rng, source.words)
        if task is None:
            continue
        done += 1
        said = engine.complete(edits.prompt(task), "", EDIT_TOKENS, one_line=False).text
        right += edits.apply(said, task.before) == task.after
    return right / count


def idioms(engine: Engine) -> list[dict[str, Any]]:
    """Each idiom with what was said and whether it begins with what was wanted."""
    rows = []
    decoder = json.JSONDecoder()
    for line in (HERE / "idioms.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        prefix, end = decoder.raw_decode(line)
        wanted = json.loads(line[end:])
        said = engine.complete(prompt_of(fim.Hole(prefix, "", "")), prefix, 16, one_line=True).text
        rows.append({"prefix": prefix, "wanted": wanted, "said": said, "right": said.startswith(wanted)})
    return rows


def speed(engine: Engine, prompt: str, count: int = 200) -> float:
    """Decoded tokens per second of processor time on one thread, after a short prompt."""
    ids = engine.tokenizer.encode(prompt, add_special_tokens=False).ids
    logits = engine.feed(ids, restart=True)[0]
    begun = time.process_time()
    for _ in range(count):
        logits = engine.feed([int(logits.argmax())], restart=False)[0]
    return count / (time.process_time() - begun)


def bits_per_byte(engine: Engine, texts: list[str], seed: int) -> float:
    """Over the beginnings of seeded held-out files, rows of BITS_ROW tokens."""
    chosen = random.Random(f"bits-{seed}").sample(texts, min(BITS_TEXTS, len(texts)))
    pairs = [engine.bits(text[:BITS_CHARS], BITS_ROW) for text in chosen]
    return sum(b for b, _ in pairs) / sum(n for _, n in pairs)


def exact(cases: list[Case], field: Callable[[Case], str]) -> float:
    """Share of cases answered exactly."""
    return sum(field(c) == c.wanted for c in cases) / len(cases)


def measure(engine: Engine, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures and twenty samples."""
    seed = arguments.seed
    held = mix.read(arguments.files, "heldout", seed)
    python = [t for t, p in zip(held.texts, held.paths, strict=True) if p.endswith(".py")]
    test = holes(python, arguments.holes, seed)
    known = remembered(engine, test, arguments)
    cases = lines(engine, test, known)
    sure = sorted(cases, key=lambda c: -c.log_probability)[: len(cases) // 4]
    told = idioms(engine)
    held_words = replace(held, words=known.words)
    return {
        "bits_per_byte": bits_per_byte(engine, python, seed),
        "line_exact": exact(cases, lambda c: c.model),
        "line_exact_top_quarter": exact(sure, lambda c: c.model),
        "line_exact_most_frequent_line": exact(cases, lambda c: c.line),
        "line_exact_six_gram": exact(cases, lambda c: c.six_gram),
        "copy": copies(engine, known.words, 100, seed),
        "rename_two_files": renames(engine, held_words, 60, seed),
        "tokens_per_s": speed(engine, "def main():\n"),
        "idioms": sum(row["right"] for row in told),
        "holes": len(cases),
        "idiom_rows": told,
        "samples": [asdict(c) | {"prefix": c.prefix[-200:]} for c in cases[:20]],
    }


def main() -> None:
    """Measure and write evaluation.json into the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="default: evaluation.json in the model folder")
    parser.add_argument("--cache", type=Path, help="a file that keeps the baselines' answers between evaluations")
    parser.add_argument("--holes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures = measure(Engine(arguments.model), arguments)
    (arguments.out or arguments.model / "evaluation.json").write_text(
        json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    )
    print(table(figures))
    for row in figures["idiom_rows"]:
        print("right" if row["right"] else "wrong", json.dumps(row["prefix"]), "->", json.dumps(row["said"]))


if __name__ == "__main__":
    main()
