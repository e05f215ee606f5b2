"""Settings that change while we run: the client's section `qwen`, pushed or asked for. Knows no single setting."""

from collections.abc import Mapping
from pathlib import Path

from lsprotocol import types as t

from qwen_lsp.lsp.editor import SECTION
from qwen_lsp.lsp.session import Session


async def did_change_configuration(session: Session, params: t.DidChangeConfigurationParams) -> None:
    """Take the section where it was sent; ask for it where it was not, as newer clients expect, and for folders'."""
    if isinstance(params.settings, Mapping) and SECTION in params.settings:
        _take(session, params.settings[SECTION], None)
        if len(session.snapshot().roots) < 2:
            return
    await pull(session)


async def pull(session: Session) -> None:
    """Ask the client for its section, if it can be asked: the window's, and each root's where there are several."""
    if not session.client.configuration:
        return
    roots = session.snapshot().roots
    several = roots if len(roots) > 1 else ()
    section, *of_roots = await session.editor.configuration([root.as_uri() for root in several])
    _take(session, section, dict(zip(several, of_roots, strict=False)))


def _take(session: Session, section: object, folders: Mapping[Path, object] | None) -> None:
    """Null means that the client has nothing to say, not that everything is reset."""
    if section is not None or folders:
        options = (*session.options[:1], section) if section is not None else ()
        session.configure(*options, folders=folders)
