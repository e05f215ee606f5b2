"""make_server: joins protocol, session and handlers; serve: one editor on stdio. No feature is decided here."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from threading import Event
from typing import Any, BinaryIO

from cattrs import Converter
from lsprotocol import types as t
from pygls.io_ import StdoutWriter, run_async
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from qwen_lsp import __version__
from qwen_lsp.engine.client import Engine, engine_for
from qwen_lsp.features.actions import carry_out, offer
from qwen_lsp.features.complete import complete
from qwen_lsp.features.trial import tried
from qwen_lsp.lsp import child, garbage, stdio
from qwen_lsp.lsp.editor import Editor
from qwen_lsp.lsp.handlers import actions, commands, completion, configuration, files, inline, lifecycle, sync
from qwen_lsp.lsp.protocol import Protocol
from qwen_lsp.lsp.session import Features, Session
from qwen_lsp.post.syntax import LastParsed
from qwen_lsp.settings import Settings

log = logging.getLogger(__name__)

SWITCH_S = 0.0005  # the thread that asks the index lets the event loop go first; Python's own 5 ms are a key's

HANDLERS: Mapping[str, Callable[..., Any]] = {
    t.INITIALIZE: lifecycle.initialize,
    t.INITIALIZED: lifecycle.initialized,
    t.SHUTDOWN: lifecycle.shutdown,
    t.SET_TRACE: lifecycle.set_trace,
    t.WINDOW_WORK_DONE_PROGRESS_CANCEL: lifecycle.cancel_progress,
    t.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: lifecycle.did_change_workspace_folders,
    t.WORKSPACE_DID_CHANGE_CONFIGURATION: configuration.did_change_configuration,
    t.WORKSPACE_DID_CHANGE_WATCHED_FILES: files.did_change_watched_files,
    t.TEXT_DOCUMENT_DID_OPEN: sync.did_open,
    t.TEXT_DOCUMENT_DID_CHANGE: sync.did_change,
    t.TEXT_DOCUMENT_DID_SAVE: sync.did_save,
    t.TEXT_DOCUMENT_DID_CLOSE: sync.did_close,
    t.TEXT_DOCUMENT_INLINE_COMPLETION: inline.inline_completion,
    t.TEXT_DOCUMENT_COMPLETION: completion.completion,
    t.TEXT_DOCUMENT_CODE_ACTION: actions.code_action,
    t.CODE_ACTION_RESOLVE: actions.resolve,
    t.WORKSPACE_EXECUTE_COMMAND: commands.execute_command,
}

# Messages of keys. How each is read and written is worked out at its first one, for ten milliseconds.
KEYS_ASK = (t.DidChangeTextDocumentNotification, t.InlineCompletionRequest, t.CompletionRequest)
KEYS_HEAR = (t.InlineCompletionResponse, t.InlineCompletionItem, t.CompletionResponse, t.CompletionItem)

FEATURES = Features(partial(complete, last=LastParsed()), offer, carry_out, tried)


@cache
def converter() -> Converter:
    """Between JSON and typed messages. Takes 0.3 s to build and holds no state of a connection."""
    made: Converter = default_converter()  # type: ignore[no-untyped-call]
    for asked in KEYS_ASK:
        made.get_structure_hook(asked)
    for heard in KEYS_HEAR:
        made.get_unstructure_hook(heard)
    return made


class Server(LanguageServer):
    """pygls' server with our protocol and one session."""

    protocol: Protocol

    def __init__(self, engine_factory: Callable[[Settings], Engine], features: Features, launch: child.Launch) -> None:
        super().__init__(lifecycle.NAME, __version__, protocol_cls=Protocol, converter_factory=converter)
        self.session = Session(Editor(self), features, engine_factory, launch)
        for method, handler in HANDLERS.items():
            self.feature(method)(partial(handler, self.session))

    def start_io(self, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> None:
        """Serve until the editor says `exit` or is gone."""
        if stdin is not None or stdout is not None or not stdio.is_watchable():
            super().start_io(stdin, stdout)
            return
        self._stop_event = stopped = Event()
        self.protocol.set_writer(StdoutWriter(sys.stdout.buffer))
        try:
            asyncio.run(self._read(stopped))
        except (BrokenPipeError, KeyboardInterrupt, SystemExit):
            pass  # the editor is gone, or ends us
        finally:
            self.shutdown()  # type: ignore[no-untyped-call]

    async def _read(self, stopped: Event) -> None:
        reader = await stdio.PipeReader.opened()
        await run_async(stopped, reader, self.protocol, logging.getLogger("pygls"), self.report_server_error)

    def report_server_error(self, error: Exception, source: object) -> None:
        """pygls reports here what it could not read; the error's text may quote it."""
        log.error("unreadable message: %s", type(error).__name__)
        if isinstance(error, ValueError | RecursionError):
            self.protocol.refuse_unreadable()


def make_server(
    engine_factory: Callable[[Settings], Engine] = engine_for,
    features: Features = FEATURES,
    launch: child.Launch = child.start,
) -> Server:
    """A server for one editor. Nothing runs before the editor says `initialize`."""
    # pygls logs whole messages at INFO and with exceptions; ours hold source text.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    return Server(engine_factory, features, launch)


def serve(server: Server, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None) -> int:
    """Serve on stdio until the editor says `exit` or is gone. The exit code that LSP asks for."""
    # stdout belongs to the protocol. The session sets the level of our own loggers.
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    gc.set_threshold(garbage.OBJECTS, 10, 20)
    sys.setswitchinterval(SWITCH_S)
    # pygls swallows SystemExit, so that its own `exit` always ends with code 0.
    server.start_io(stdin, stdout)
    return 0 if server.protocol.was_shut_down else 1
