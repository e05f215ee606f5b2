"""What one row of `languages.py` says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)  # a row is itself: caches of what belongs to it are asked for each file
class Language:
    """One language. `name` is the id that LSP gives it.

    suffixes: of file names, with the dot, in lower case.
    grammar: the wheel's module and the function in it that gives the grammar.
    queries: files under `queries/` that are read one after the other as one query.
    identifiers: node types whose text is the name of something that may be defined elsewhere; none in data and markup.
    functions: node types of functions that have their block in the field `body`.
    depth: levels of the tree that are searched for definitions; what lies deeper is local to something local.
    file_names: whole names of files without a telling suffix. interpreters: programs of a first line `#!`.
    aliases: other ids that editors send. line_comment, block_comment: how to write one; empty where there is none.
    """

    name: str
    suffixes: tuple[str, ...]
    grammar: tuple[str, str]
    queries: tuple[str, ...]
    identifiers: tuple[str, ...] = ("identifier",)
    functions: tuple[str, ...] = ()
    depth: int = 7
    line_comment: str = ""
    block_comment: tuple[str, str] | None = None
    file_names: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
