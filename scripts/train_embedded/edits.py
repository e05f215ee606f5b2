"""Mechanical edit tasks in the product's edit-block format: rename, change a call, add a parameter. Pure.

A task holds the files before and after, so a post-condition can be checked: applying the answer's blocks to the
files before must give the files after.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from fim import IDENTIFIER

FENCE = "```"
BLOCK = re.compile(
    r"^(?P<path>[^\n]+)\n<<<<<<< SEARCH\n(?P<old>.*?)\n?=======\n(?P<new>.*?)\n?>>>>>>> REPLACE$", re.M | re.S
)
FUNCTION = re.compile(
    r"^def ([a-z_][a-z0-9_]{2,28})\(([^()\n]{0,60})\)(?: -> [^\n:]{1,30})?:\n((?:(?:[ \t]+[^\n]*)?\n){1,9})", re.M
)
KEYWORDS = frozenset(
    ("self", "def", "return", "None", "True", "False", "import", "from", "class", "print", "for", "while")
)
MAX_CHARS = 1100  # of the files of a task; about 350 tokens


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction and its files before and after, paths in the same order."""

    instruction: str
    before: tuple[tuple[str, str], ...]
    after: tuple[tuple[str, str], ...]


def replace_name(text: str, old: str, new: str) -> str:
    """Whole-identifier replacement."""
    return IDENTIFIER.sub(lambda m: new if m[0] == old else m[0], text)


def blocks(task: Task) -> str:
    """The answer: per run of changed lines one block. Only for edits that keep the number of lines."""
    out = []
    for (path, old), (_, new) in zip(task.before, task.after, strict=True):
        pairs = list(zip(old.split("\n"), new.split("\n"), strict=True))
        run: list[tuple[str, str]] = []
        for pair in [*pairs, ("", "")]:
            if pair[0] != pair[1]:
                run.append(pair)
            elif run:
                was, now = "\n".join(p[0] for p in run), "\n".join(p[1] for p in run)
                out.append(f"{path}\n<<<<<<< SEARCH\n{was}\n=======\n{now}\n>>>>>>> REPLACE")
                run = []
    return "\n".join(out)


def apply(answer: str, files: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...] | None:
    """The files with every block applied, or None when a block names no file or not exactly one place of it."""
    texts = dict(files)
    found = list(BLOCK.finditer(answer))
    for block in found:
        path, old, new = block["path"], block["old"].split("\n"), block["new"].split("\n")
        lines = texts.get(path, "").split("\n")
        places = [i for i in range(len(lines)) if lines[i : i + len(old)] == old]
        if path not in texts or len(places) != 1:
            return None
        texts[path] = "\n".join([*lines[: places[0]], *new, *lines[places[0] + len(old) :]])
    return tuple(texts.items()) if found else None


def user_turn(task: Task) -> str:
    """What the user's turn says: the instruction, then each file under its path."""
    shown = "\n".join(f"{path}\n{FENCE}\n{text}\n{FENCE}" for path, text in task.before)
    return f"{task.instruction}\n\n{shown}"


def prompt(task: Task, think: bool = True) -> str:
    """The chat up to where the assistant writes; `think` adds the empty block of enable_thinking=false."""
    opening = "<think>\n\n</think>\n\n" if think else ""
    return f"<|im_start|>user\n{user_turn(task)}<|im_end|>\n<|im_start|>assistant\n{opening}"


def functions(text: str) -> list[tuple[str, str, str]]:
    """Short top-level functions of a file: (name, parameters, source)."""
    return [(m[1], m[2], m[0].rstrip()) for m in FUNCTION.finditer(text) if m[1] not in KEYWORDS]


def new_name(rng: random.Random, words: list[str]) -> str:
    """An identifier of two or three words."""
    return "_".join(rng.choice(words) for _ in range(rng.choice((2, 2, 3))))


def caller(rng: random.Random, module: str, name: str, parameters: str, words: list[str]) -> str:
    """A second file that imports and calls the function."""
    count = len([p for p in parameters.split(",") if p.strip() and "=" not in p and "*" not in p])
    value, outer = rng.choice(words), new_name(rng, words)
    names = ", ".join(rng.choice(words) for _ in range(count))
    call = f"{name}({names})"
    bodies = (
        f"def {outer}({value}):\n    return {call}",
        f"def {outer}({value}):\n    {rng.choice(words)} = {call}\n    return {value}",
        f"class {outer.title().replace('_', '')}:\n    def {value}(self):\n        return {call}",
        f"{value} = {call}\nprint({value})",
        f'if __name__ == "__main__":\n    {call}',
    )
    return f"from {module} import {name}\n\n\n{rng.choice(bodies)}"


def instruction(rng: random.Random, kind: str, old: str, new: str) -> str:
    """One of several wordings; old and new in backticks or bare."""
    q = rng.choice(("`", "`", "`", ""))
    old, new = f"{q}{old}{q}", f"{q}{new}{q}"
    wordings = {
        "rename": (f"Rename {old} to {new}.", f"Rename the function {old} to {new}.", f"rename {old} to {new}",
                   f"Rename {old} to {new} and update the callers.", f"Rename {old} to {new} everywhere."),
        "call": (f"Call {new} instead of {old}.", f"Replace calls of {old} with {new}.",
                 f"Use {new} instead of {old}."),
        "parameter": (f"Add a parameter {new} to {old}.", f"Add the parameter {new} to {old}.",
                      f"Give {old} a parameter {new}."),
    }  # fmt: skip
    return rng.choice(wordings[kind])


def add_parameter(source: str, name: str, parameter: str) -> str:
    """`def name(a)` -> `def name(a, parameter)`."""
    return re.sub(
        rf"^(def {name}\()([^()\n]*)\)",
        lambda m: f"{m[1]}{m[2].rstrip().rstrip(',')}{', ' if m[2].strip() else ''}{parameter})",
        source,
        count=1,
    )


def make(
    kind: str, n_files: int, chosen: list[tuple[str, str, str]], rng: random.Random, words: list[str]
) -> Task | None:
    """A task of `kind` on the first of `chosen`; further functions pad the first file. None when it can not be made."""
    name, parameters, source = chosen[0]
    module, other = rng.sample(words, 2)
    folder = rng.choice(("", "", f"{rng.choice(words)}/", "src/"))
    shown = [source, *(c[2] for c in chosen[1:])]
    rng.shuffle(shown)
    files = [(f"{folder}{module}.py", "\n\n\n".join(shown))]
    if n_files == 2:
        files.append((f"{folder}{other}.py", caller(rng, module, name, parameters, words)))
    rng.shuffle(files)
    before = tuple(files)
    if kind == "rename":
        new = new_name(rng, words)
        after = tuple((p, replace_name(t, name, new)) for p, t in before)
        task = Task(instruction(rng, kind, name, new), before, after)
    elif kind == "parameter":
        new = rng.choice((rng.choice(words), f"{rng.choice(words)}={rng.choice(('None', '0', 'True', 'False'))}"))
        after = tuple((p, add_parameter(t, name, new)) for p, t in before)
        task = Task(instruction(rng, kind, name, new), before, after)
    else:
        calls = [c for c in re.findall(r"\b([a-z_]{3,24})\(", source) if c != name and c not in KEYWORDS]
        if not calls:
            return None
        old, new = rng.choice(calls), new_name(rng, words)
        after = tuple((p, re.sub(rf"\b{old}\(", f"{new}(", t)) for p, t in before)
        task = Task(instruction(rng, kind, old, new), before, after)
    return task if sound(task) else None


def sound(task: Task) -> bool:
    """Whether the task is short, changes something and its own answer satisfies its post-condition."""
    if task.before == task.after or sum(len(t) for _, t in task.before) > MAX_CHARS or "<|" in user_turn(task):
        return False
    answer = blocks(task)
    return (
        answer.count("SEARCH") <= 4
        and FENCE not in "".join(t for _, t in task.before)
        and apply(answer, task.before) == task.after
    )
