"""What a key costs beside an index; steps of `scripts/bench index`, each in a process of its own.

`keys`: the tree of an open file parsed again after a key, against parsing all of it. `asks`: what matters at a cursor,
looked up in a whole index, or in one that is being built. `window`: a real server answers while its folder is scanned
for the first time. Draws no conclusion.
"""

import gc
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from qwen_lsp.context.memo import Memo
from qwen_lsp.context.retrieve import Workspace, packed, ranking
from qwen_lsp.eval.window import Window
from qwen_lsp.index import grammars
from qwen_lsp.index.buffers import parsed, reread
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot
from scripts.benches.figures import Figures, spread, timed

SEED = 7
TYPED = ("a", "e", "s", "x", "_", "1", " ", ".", "\n", "(", '"')  # two of eleven open something
LEAST_BYTES = 4_000
FILES_PER_LANGUAGE = 12
KEYS_PER_FILE = 11
_WORD = re.compile(r"[A-Za-z_]\w+")  # people type at the ends of words
COUNTED_BYTES = 64  # slices in which the parser's reading is counted

ASKED_FILES = 100
MOVES = 5  # requests some lines further down, after the first one in a file
MOVED_LINES = 3
TOKENS = 2_000
SCANNED_SHARE = 0.1  # of the files are in the index before it is asked while it is built
KEY_EVERY_S = 0.03  # a very fast typist
MOST_KEYS = 2_000
WINDOW_S = 240.0


def keys(root: Path, paths: Sequence[str]) -> Figures:
    """CPU and bytes read by the parser, of a key and of the whole file, over files of all languages."""
    rng = random.Random(SEED)
    of_language: Counter[str] = Counter()
    ratios, again_ms, n_again, n_whole, again_s, whole_s = [], [], 0, 0, 0.0, 0.0
    for path in rng.sample(paths, len(paths)):
        language = language_of(path)
        text = (root / path).read_text("utf-8", "replace")
        if language is None or len(text) < LEAST_BYTES or of_language[language.name] == FILES_PER_LANGUAGE:
            continue
        buffer = parsed(language.name, text)
        if buffer is None:
            continue
        of_language[language.name] += 1
        ends = [word.end() for word in _WORD.finditer(text)] or [0]
        for number in range(KEYS_PER_FILE):
            at = rng.choice(ends)
            after = text[:at] + TYPED[number % len(TYPED)] + text[at:]
            again, _ = timed(lambda buffer=buffer, after=after: reread(buffer, grammars.encode(after)))  # type: ignore[misc]
            whole, _ = timed(lambda name=language.name, after=after: parsed(name, after))  # type: ignore[misc]
            ratios.append(again / whole)
            again_ms.append(1e3 * again)
            again_s, whole_s = again_s + again, whole_s + whole
            n_again += _read_by(lambda buffer=buffer, after=after: reread(buffer, grammars.encode(after)))  # type: ignore[misc]
            n_whole += _read_by(lambda name=language.name, after=after: parsed(name, after))  # type: ignore[misc]
    found = {
        "n_keys": len(ratios),
        "of_whole": again_s / max(whole_s, 1e-9),
        "bytes_of_whole": n_again / max(n_whole, 1),
    }
    return found | spread("ratio", ratios) | spread("ms", again_ms)


def _read_by(parse: Callable[[], object]) -> int:
    """How many bytes the parser asks for, in slices of so many."""
    n_bytes = 0
    kept = grammars.SLICE_BYTES, grammars._slice

    def counted(data: bytes, offset: int, _: object) -> bytes:
        nonlocal n_bytes
        piece = data[offset : offset + COUNTED_BYTES]
        n_bytes += len(piece)
        return piece

    grammars.SLICE_BYTES, grammars._slice = 0, counted
    try:
        parse()
    finally:
        grammars.SLICE_BYTES, grammars._slice = kept
    return n_bytes


def asks(store: Store, root: Path, ended: Callable[[], bool] = lambda: False) -> Figures:
    """Of first requests in files and of those some lines on, as a window makes them: CPU and wall. Until `ended`."""
    from qwen_lsp.lsp.garbage import OBJECTS  # here, since each process of a scan imports what the bench does

    gc.set_threshold(OBJECTS, 10, 20)  # as a window has it: with Python's own, it takes a tenth of the time
    rng = random.Random(SEED)
    paths = [path for path in sorted(store.files(store.root_id(root))) if language_of(path) is not None]
    first: list[tuple[float, float]] = []
    moved: list[tuple[float, float]] = []
    with closing(Index(store, root)) as index:
        for path in rng.sample(paths, min(len(paths), ASKED_FILES)):
            document = opened((root / path).as_uri(), "", 1, (root / path).read_text("utf-8", "replace"))
            line, memo = rng.randrange(document.lines.count), Memo()
            for number in range(1 + MOVES):
                if ended():
                    break
                place = document.lines.end_of(min(line + number * MOVED_LINES, document.lines.count - 1))
                times = timed(lambda d=document, p=place, m=memo: _asked(index, root, d, p, m))  # type: ignore[misc]
                (moved if number else first).append(times)
    found: dict[str, float] = {"n_first": len(first), "n_moved": len(moved)}
    for name, rows in (("first", first), ("moved", moved)):
        found |= spread(f"{name}_cpu_ms", [1e3 * cpu for cpu, _ in rows])
        found |= spread(f"{name}_wall_ms", [1e3 * wall for _, wall in rows])
    return found


def _asked(index: Index, root: Path, document: Any, offset: int, memo: Memo) -> None:
    window = Snapshot({document.uri: document}, (document.uri,), (root,), Settings())
    with index.snapshot() as snapshot:
        packed(ranking(window, Cursor(document, offset), Workspace(root, snapshot, memo)), TOKENS)


def asks_while_scanned(store: Store, root: Path, n_files: int) -> Figures:
    """The same while another process fills the store, from a tenth of the files on."""
    command = [sys.executable, "-m", "scripts.benches.index_steps", "cold-2", str(root), str(store.folder)]
    scan = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        number = store.root_id(root)
        while len(store.files(number)) < SCANNED_SHARE * n_files and scan.poll() is None:
            time.sleep(0.2)
        found = {"n_known": float(len(store.files(number)))}
        found |= asks(store, root, lambda: scan.poll() is not None)
        found["scanned_meanwhile"] = len(store.files(number)) - found["n_known"]
    finally:
        scan.kill()
        scan.wait()
    return found


def window(root: Path, path: str) -> Figures:
    """A fresh server without an engine: keys in one file, each followed by a request, until the folder is scanned."""
    with tempfile.TemporaryDirectory(prefix="qwen-window-") as home:
        of = _Scanning(root)
        of.begin(Path(home))
        try:
            text = (root / path).read_text("utf-8", "replace")
            of.open(path, text)
            times: list[float] = []
            rng, ends = random.Random(SEED), time.monotonic() + WINDOW_S
            while not of.is_scanned and len(times) < MOST_KEYS and time.monotonic() < ends:
                of.edit(path, at := rng.randrange(len(of.texts[path])), at, "x")
                begun = time.perf_counter()
                of.ask("workspace/executeCommand", {"command": "qwen.stats", "arguments": []})
                if of.is_scanning:
                    times.append(1e3 * (time.perf_counter() - begun))
                time.sleep(KEY_EVERY_S)
            ended = of.is_scanned  # what is heard while it stops tells nothing
        finally:
            of.stop()
    return {"n_keys": len(times), "ended": float(ended)} | spread("ms", times)


class _Scanning(Window):
    """Hears how far the index is. Nothing listens where its engine should be: completions are not asked for."""

    is_scanning = False
    is_scanned = False

    def begin(self, home: Path) -> None:
        self._process = subprocess.Popen(
            self.command,
            cwd=home,
            env=os.environ | {"QWEN_LSP_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        folder = {"uri": self.root.as_uri(), "name": self.root.name}
        capabilities = {"general": {"positionEncodings": ["utf-32"]}}
        options = {"engine": "openai", "remote": {"url": "http://127.0.0.1:9"}}
        params = {"processId": os.getpid(), "rootUri": None, "workspaceFolders": [folder]}
        self.ask("initialize", params | {"capabilities": capabilities, "initializationOptions": options})
        self.tell("initialized", {})

    def _read(self) -> dict[str, Any]:
        message = super()._read()
        if message.get("method") == "qwen/status":
            said = str(message["params"].get("index", ""))
            self.is_scanning = said.startswith("indexing ")
            self.is_scanned = said.startswith("index: ")
        return message
