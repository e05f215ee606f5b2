"""Synthetic copy probes: an identifier that only another file of the prompt defines. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from edits import new_name
from fim import Hole, joint, repository


@dataclass(frozen=True, slots=True)
class Probe:
    """A repository-level prompt that ends where the identifier should go on, and what should follow."""

    others: tuple[tuple[str, str], ...]
    path: str
    hole: Hole  # its middle is the rest of the line
    name: str

    def text(self, answered: bool) -> str:
        """The whole document, or the prompt alone."""
        hole = self.hole if answered else Hole(self.hole.prefix, "", self.hole.suffix)
        last = joint(hole) if answered else joint(hole, end="")
        return repository("demo", list(self.others), self.path, last)


def definition(kind: str, name: str, words: list[str], rng: random.Random) -> str:
    """A few lines that define `name`."""
    a, b = rng.sample(words, 2)
    if kind == "class":
        return f"class {name}:\n    def __init__(self, {a}):\n        self.{a} = {a}\n"
    if kind == "constant":
        return f"{name} = {rng.randrange(2, 1000)}\n"
    return rng.choice(
        (
            f"def {name}({a}):\n    return {a}.{b}\n",
            f"def {name}({a}, {b}):\n    return {a} + {b}\n",
            f"def {name}():\n    {a} = []\n    return {a}\n",
        )
    )


def styled(kind: str, words: list[str], rng: random.Random) -> str:
    """A name in the style of its kind."""
    name = new_name(rng, words)
    return {"class": name.title().replace("_", ""), "constant": name.upper()}.get(kind, name)


def make(rng: random.Random, words: list[str]) -> Probe:
    """One probe: a module defines `name`, another file imports it or calls it through the module."""
    kind = rng.choice(("function", "function", "class", "constant"))
    name = styled(kind, words, rng)
    module, here, outer, value, decoy = rng.sample(words, 5)
    others = [(f"{module}.py", definition(kind, name, words, rng))]
    if rng.random() < 0.5:
        others.append((f"{decoy}.py", definition("function", new_name(rng, words), words, rng)))
    rng.shuffle(others)
    call = "" if kind == "constant" else "("
    suffix = rng.choice(("\n", f"\n\n\ndef {outer}():\n    return {name}\n", f"\n    return {value}\n"))
    starts = (
        (f"from {module} import ", name, rng.choice(("", "\n", f"\n\n{value} = 1\n"))),
        (f"import {module}\n\n{value} = {module}.", name + call, suffix.replace(name, value)),
        (
            f"import {module}\n\n\ndef {outer}({value}):\n    {value} = {module}.",
            name + call,
            suffix.replace(name, value),
        ),
    )
    prefix, middle, after = rng.choice(starts)
    if call and middle.endswith("("):
        middle += ")"
    return Probe(tuple(others), f"{here}.py", Hole(prefix, middle, after), name)
