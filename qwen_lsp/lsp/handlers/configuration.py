"""Settings that change while we run: the client's section `qwen`, pushed or asked for. Knows no single setting."""

from collections.abc import Mapping

from lsprotocol import types as t

from qwen_lsp.lsp.editor import SECTION
from qwen_lsp.lsp.session import Session


async def did_change_configuration(session: Session, params: t.DidChangeConfigurationParams) -> None:
    """Take the section where it was sent; ask for it where it was not, as newer clients expect."""
    if isinstance(params.settings, Mapping) and SECTION in params.settings:
        _take(session, params.settings[SECTION])
    else:
        await pull(session)


async def pull(session: Session) -> None:
    """Ask the client for its section, if it can be asked."""
    if session.client.configuration:
        _take(session, await session.editor.configuration())


def _take(session: Session, section: object) -> None:
    """Null means that the client has nothing to say, not that everything is reset."""
    if section is not None:
        session.configure(*session.options[:1], section)
