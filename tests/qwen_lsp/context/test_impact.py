"""What a change touches: definitions, uses by whose they are, files."""

from qwen_lsp.context.impact import LIMITS, Impact, impact
from qwen_lsp.context.texts import reader
from tests.qwen_lsp.context.conftest import Indexed

FILES = {
    "shop/cart.py": (
        "class Cart:\n    def total(self): return 1\n\n    def twice(self): return 2 * self.total()\n\n\n"
        "def load(path): ...\n"
    ),
    "game/cart.py": "class Cart: ...\n\n\ndef load(path): return Cart()\n\n\nload('here')\n",
    "app.py": "from shop.cart import Cart, load\n\nprint(Cart().total(), load('x'))\n",
    "play.py": "from game.cart import load\n\nload('y')\n",
    "star.py": "from shop.cart import *\n\nload('z')  # load\n",
    "web.js": "load('other language')\n",
    "README": "load and total\n",
}


def check(indexed: Indexed, name: str, path: str, files: dict[str, str] = FILES) -> Impact:
    root, index = indexed(files)
    (of,) = [each for each in index.definitions_of(name) if each.path == path]
    return impact(of, index, reader(root, {}))


def uses(found: Impact) -> list[tuple[str, str]]:
    return [(use.path, use.standing) for use in found.uses]


def test_imports_tell_two_functions_of_one_name_apart(indexed: Indexed) -> None:
    found = check(indexed, "load", "shop/cart.py")
    assert [each.path for each in found.definitions] == ["shop/cart.py"]
    assert [each.path for each in found.namesakes] == ["game/cart.py"]
    assert set(uses(found)) == {
        ("app.py", "imported"),
        ("game/cart.py", "other"),
        ("play.py", "other"),
        ("star.py", "possible"),
        ("web.js", "other"),
    }
    assert found.files == ("app.py", "shop/cart.py", "star.py")
    assert found.texts == ("README",) and found.unread == () and found.limits == LIMITS


def test_a_method_is_meant_inside_of_its_type_and_possible_elsewhere(indexed: Indexed) -> None:
    found = check(indexed, "total", "shop/cart.py")
    assert uses(found) == [("app.py", "possible"), ("shop/cart.py", "own")]


def test_offsets_are_those_of_the_text(indexed: Indexed) -> None:
    files = {"a.py": "# é\ndef load(): ...\n\n\nload()\n"}
    found = check(indexed, "load", "a.py", files)
    assert [use.start for use in found.uses] == [files["a.py"].rindex("load")]


def test_a_prototype_and_its_body_are_one(indexed: Indexed) -> None:
    files = {
        "cart.h": "int load(int);\n",
        "cart.c": '#include "cart.h"\nint load(int x) { return x; }\n',
        "app.c": '#include "cart.h"\nint main(void) { return load(1); }\n',
    }
    found = check(indexed, "load", "cart.c", files)
    assert [each.path for each in found.definitions] == ["cart.c", "cart.h"] and found.namesakes == ()
    assert uses(found) == [("app.c", "possible")]
    assert found.files == ("app.c", "cart.c", "cart.h")


def test_a_file_that_can_not_be_read_is_told(indexed: Indexed) -> None:
    root, index = indexed(FILES)
    (of,) = [each for each in index.definitions_of("load") if each.path == "shop/cart.py"]
    (root / "app.py").unlink()
    assert impact(of, index, reader(root, {})).unread == ("app.py",)
