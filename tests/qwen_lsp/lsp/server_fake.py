"""A real server process for stdio tests: the real protocol, session and handlers, an engine that is nobody.

The features echo: a suggestion is the server's own text of the whole document, so that a client can compare.
"""

import asyncio
import sys
from typing import Any

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.features.actions import offer
from qwen_lsp.features.complete import Completion, Manner
from qwen_lsp.lsp.server import make_server, serve
from qwen_lsp.lsp.session import Features
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot
from tests.qwen_lsp.lsp.wire import FakeEngine, Script


async def echo(snapshot: Snapshot, cursor: Cursor, engine: Engine, ledger: Ledger | None, manner: Manner) -> Completion:
    """The text before the cursor; a document that says `wait` waits for its cancel."""
    if cursor.document.text.startswith("wait"):
        await asyncio.Event().wait()
    return Completion(cursor.document.text, cursor.offset, cursor.offset, Usage(1, 0, 1, 2, 0.5))


def main() -> int:
    engine: Any = FakeEngine()
    script = Script()
    return serve(make_server(lambda settings: engine, Features(echo, offer, script.carry_out, script.try_layouts)))


if __name__ == "__main__":
    sys.exit(main())
