"""What travels of a prompt: what is new in it, as ids or, where nobody asked for those, as texts."""

from array import array
from base64 import b64decode

from qwen_lsp.engine.sent import KEPT, LEAST_TOKENS, PACKED_FROM, WHOLE, Begun, Earlier, rest_of
from qwen_lsp.prompt.segments import Control, Text

BASE = Text("base")


def ids(*numbers: int) -> array[int]:
    return array("I", numbers)


def test_the_longest_beginning_that_the_daemon_has() -> None:
    earlier = Earlier()
    assert earlier.best([BASE]) == WHOLE
    earlier.keep("a", [BASE, Text("x")], [0, LEAST_TOKENS, LEAST_TOKENS + 1])
    earlier.keep("b", [BASE, Text("y"), Text("z")], [0, LEAST_TOKENS, LEAST_TOKENS + 2, LEAST_TOKENS + 3])
    earlier.keep("short", [Text("y")], [0, LEAST_TOKENS - 1])
    assert earlier.best([BASE, Text("x"), Text("z")]) == Begun("a", (0, LEAST_TOKENS, LEAST_TOKENS + 1))
    assert earlier.best([Text("base"), Text("y")]) == Begun("b", (0, LEAST_TOKENS, LEAST_TOKENS + 2)), "by value, too"
    assert earlier.best([Control("base"), Text("x")]) == WHOLE == earlier.best([Text("y")])
    earlier.forget("b")
    assert earlier.best([BASE, Text("y")]) == Begun("a", (0, LEAST_TOKENS))
    for n in range(KEPT):
        earlier.keep(str(n), [Text(str(n))], [0, LEAST_TOKENS])
    assert earlier.best([BASE]) == WHOLE, "the last few are kept"


def test_ids_travel_as_a_list_and_many_as_bytes() -> None:
    rest = rest_of(Begun("a", (0, 3)), [ids(1, 2), ids(7)])
    assert rest.wired == {"prompt": [1, 2, 7]} and rest.places == rest.offsets == (0, 3, 5, 6)
    many = ids(*range(PACKED_FROM))
    (packed,) = rest_of(WHOLE, [many]).wired.values()
    assert b64decode(packed) == b"".join(n.to_bytes(4, "little") for n in many)
    assert rest_of(Begun("a", (0, 3)), []).wired == {"prompt": []}


def test_a_text_counts_as_one_and_what_stands_behind_it_is_not_sure() -> None:
    rest = rest_of(Begun("a", (0, 3)), [ids(1, 2), "text", ids(7, 8), "more"])
    assert rest.wired == {"prompt_parts": [1, 2, "text", 7, 8, "more"]}
    assert rest.places == (0, 3, 5) and rest.offsets == (0, 3, 5, 6, 8, 9)
