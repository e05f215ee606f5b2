"""The project that every editor opens, and what the scripted engine says there. Knows no editor.

Three modules that each hold the same constant, so that a refactor has something to do in all of them and a new file to
make; one of them and a fourth have emoji and CRLF. The answers are for the machinery: they say nothing about a model.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

STOCK = '''"""What is in the shop."""

TAX_PERCENT = 19


class Stock:
    """Items by name."""

    def __init__(self):
        self.items = {}

    def add(self, name, quantity=1):
        self.items[name] = self.items.get(name, 0) + quantity
        return self.items[name]

    def is_empty(self):
        pass
'''
ORDERS = '''"""What was ordered."""

TAX_PERCENT = 19


def gross(net):
    return net * (100 + TAX_PERCENT) / 100
'''
REPORT = '''"""What is printed. 🧾"""

TAX_PERCENT = 19


def header():
    return f"🧾 all prices with {TAX_PERCENT} % tax"
'''.replace("\n", "\r\n")
BASKET = """# 🧺 größe, 数量
def label(name):
    return "🧺 " + name
""".replace("\n", "\r\n")

# What a test types at the end of STOCK or BASKET, and what is then said on the next line.
TOTAL_TYPED, TOTAL = (
    "def total(self, prices):",
    ("        taxed = sum(prices[name] * n for name, n in self.items.items())\n        return round(taxed, 2)\n"),
)
PRICE_TYPED, PRICE = "def price(name):", "    cost = 3  # 🪙\n    return cost * len(name)\n"
NOTHING_TYPED = "# nothing is said here"
# What is asked for, and what it leaves: three files that import a constant, and a new one that has it.
INSTRUCTION = "move TAX_PERCENT into a module of its own"
CONSTANT, IMPORT, TAXES = "TAX_PERCENT = 19", "from shop.taxes import TAX_PERCENT", "shop/taxes.py"
CHANGED = ("shop/stock.py", "shop/orders.py", "shop/report.py")
SLOW_INSTRUCTION = "think about it for half a minute"
EXPLAINED = "It counts what is in the shop."  # whatever is to be explained
IS_EMPTY = "return not self.items"  # the body that *fill in is_empty* gives it
# Two actions whose results are faulty: a check finds a wrong type, the gate a text that no longer parses.
TYPES, BREAKS = "Add type annotations to gross", "Add type annotations to header"
WRONG_TYPE = "gross returns float, not str"
# The user's checks, where a test sets them. The second stands for a type checker: it knows one fault, and tells it so.
CHECKS = (
    "grep -q TAX_PERCENT shop/taxes.py",
    f"""awk '/def gross.* -> str:/ {{ print FILENAME ":" FNR ": error: {WRONG_TYPE}"; bad = 1 }}"""
    """ END { exit bad }' shop/*.py""",
)

FILES = {"shop/stock.py": STOCK, "shop/orders.py": ORDERS, "shop/report.py": REPORT, "shop/basket.py": BASKET}


def make(folder: Path) -> Path:
    """The project as a git repository below `folder`; its root."""
    root = folder / "project"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    subprocess.run(["git", "init", "--quiet", str(root)], check=True, timeout=30)
    return root


def scripted(path: Path) -> Path:
    """The scripted engine's answers, for `model`; the first row that fits the prompt answers."""
    rows: list[dict[str, object]] = [
        *refactor(),
        {"when": ["You explain code"], "say": EXPLAINED},
        {"near": [NOTHING_TYPED.rpartition(" ")[0]], "say": ""},  # a word that may go on is not in the prompt
        {"near": [PRICE_TYPED], "say": PRICE},
        {"near": [TOTAL_TYPED], "say": TOTAL},
        {"when": ["def is_empty(self):"], "say": IS_EMPTY},
    ]
    path.write_text(json.dumps(rows), "utf-8")
    return path


def refactor() -> list[dict[str, object]]:
    """The planner's look around, the plan, and each file's edit blocks. The slow one is there to be cancelled."""
    plan = {
        "changes": [{"path": path, "symbols": []} for path in CHANGED],
        "creates": [TAXES],
        "renames": [],
        "deletes": [],
        "leaves": "",
    }
    # Where the index is not ready yet the planner knows one file only, and may name no other: it looks around.
    look = "<function=list_folder>\n<parameter=path>\nshop\n</parameter>\n</function>"
    rows: list[dict[str, object]] = [
        {"when": [SLOW_INSTRUCTION], "say": "one moment, please" * 8, "token_ms": 250},
        *_faulty("shop/orders.py", TYPES, "def gross(net):\n", "def gross(net: float) -> str:\n"),
        *_faulty("shop/report.py", BREAKS, "def header():\n", "def header() -> str\n"),
        {"when": ["Write the plan as JSON"], "say": json.dumps(plan)},
        {"when": ["You plan changes", look], "say": "done"},
        {"when": ["You plan changes"], "say": f"<tool_call>\n{look}\n</tool_call>"},
        {"when": [f"Write one edit block that makes {TAXES}."], "say": _block(TAXES, "", CONSTANT + "\n")},
    ]
    for path in CHANGED:
        block = _block(path, CONSTANT + "\n", IMPORT + "\n")
        rows.append({"when": [f"Write the edit blocks for {path}."], "say": block})
    return rows


def _faulty(path: str, instruction: str, old: str, new: str) -> list[dict[str, object]]:
    """An answer that is at fault, and no other one when that is told: a line is repeated unchanged."""
    same = FILES[path].splitlines()[0] + "\n"
    return [
        {"when": [instruction, new.rstrip("\n")], "say": _block(path, same, same)},
        {"when": [instruction], "say": _block(path, old, new)},
    ]


def refactored(name: str) -> str:
    """What the refactor leaves in one of its files."""
    return CONSTANT + "\n" if name == TAXES else FILES[name].replace(CONSTANT, IMPORT)


def _block(path: str, old: str, new: str) -> str:
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def settings(home: Path, checks: Sequence[str] = ()) -> None:
    """The user's settings in `QWEN_LSP_HOME`: the scripted engine with the answers above, and checks of refactors."""
    answers = scripted(home / "answers.json")
    # The scripted engine counts bytes. What it would say ahead of time is not for these tests.
    lines = [
        'engine = "scripted"',
        f"model = {json.dumps(str(answers))}",
        "completion.max_tokens = 512",
        "completion.prefetch = false",
        f"refactor.checks = {json.dumps(list(checks))}",
    ]
    (home / "qwen-lsp.toml").write_text("\n".join(lines) + "\n", "utf-8")
