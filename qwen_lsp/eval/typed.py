"""Typing replayed for a report: a window on a tree of the past, with the settings of the run and its engine.

The window has a home of its own, so the user's counts and index hear nothing of it; the engine is the one that answers
the run, too. Does not know what the figures mean.
"""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen_lsp.engine.launch import DAEMON, find_or_start
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.replay import Played, Trace, Typing, opened, play, typing
from qwen_lsp.eval.results import Variant
from qwen_lsp.eval.window import Window
from qwen_lsp.settings import KEYS, Settings

type Typed = Callable[[int], None]  # told how many keys were typed


async def replayed(
    repository: Repository, played: Trace, settings: Settings, variant: Variant, folder: Path, told: Typed
) -> Typing:
    """Raises NotDone where the server breaks, EngineMissing where its engine does not start."""
    tree = folder / "typed" / repository.name
    repository.checkout(tree).move(played.commit)
    environ = {"QWEN_LSP_HOME": str(folder / "home")}
    if settings.engine != "openai":
        environ[DAEMON] = f"{await find_or_start(settings)}"
    window = Window(tree.resolve())
    wanted = options(
        replace(
            settings,
            completion_context_tokens=variant.context_tokens,
            completion_layout=variant.layout or settings.completion_layout,
        )
    )
    work = asyncio.get_running_loop().run_in_executor(None, _play, window, played, environ, wanted, told)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        window.kill()  # whoever reads its answer hears that, and ends
        await asyncio.gather(work, return_exceptions=True)
        raise


def options(settings: Settings) -> dict[str, Any]:
    """The settings as an editor sends them."""
    values = {key: getattr(settings, each.field) for key, each in KEYS.items()}
    return {key: value for key, value in values.items() if value is not None}


def _play(window: Window, played: Trace, environ: dict[str, str], wanted: dict[str, Any], told: Typed) -> Typing:
    keys: list[Played] = []
    typed_s = 0.0
    try:
        window.start(environ, wanted, subprocess.DEVNULL)
        opened(window, played, window.root)
        for each in play(window, played.strokes):
            if isinstance(each, Played):
                keys.append(each)
                told(len(keys))
            else:
                typed_s += each.pause_s
    finally:
        window.stop()
    return typing(keys, typed_s)
