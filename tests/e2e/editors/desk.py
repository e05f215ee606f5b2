"""An editor that is nothing but its recorded capabilities: pytest-lsp's client, buffers, and a person who answers.

It answers to a real server and daemon. pytest-lsp warns, and so fails, where the server says what these capabilities do
not allow. Knows no test.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lsprotocol import converters
from lsprotocol import types as t
from pytest_lsp import LanguageClient, make_test_lsp_client

from tests.e2e.editors import tee, traffic
from tests.fake_editor import FakeEditor, Refused

PROFILES = {
    path.stem.removeprefix("caps_"): path for path in sorted((Path(__file__).parents[2] / "profiles").glob("*.json"))
}
NAMES = {"helix": "helix", "nvim": "Neovim", "vscode": "Visual Studio Code"}
STATUS = "qwen/status"
WAIT_S = 60.0
CONVERTER = converters.get_converter()


class Desk:
    """One window. `agrees`: the person's answer; `leaves`: files that the editor does not change, though it says so."""

    def __init__(self, client: LanguageClient, profile: str, root: Path, log: Path) -> None:
        self.client, self.profile, self.root, self.log = client, profile, root, log
        self.agrees, self.leaves = True, frozenset[str]()
        self.buffers = FakeEditor("utf-16" if profile.startswith("vscode") else "utf-8")
        self.served: set[str] = set()
        self.asked: list[t.ShowMessageRequestParams] = []
        self.edits: list[dict[str, Any]] = []
        self.states: list[Any] = []
        self.registered: list[str] = []
        self._news = asyncio.Event()

        def apply(params: t.ApplyWorkspaceEditParams) -> t.ApplyWorkspaceEditResult:
            return self._apply(CONVERTER.unstructure(params.edit))

        def ask(params: t.ShowMessageRequestParams) -> t.MessageActionItem | None:
            self.asked.append(params)
            return params.actions[0] if params.actions and self.agrees else None

        def register(params: t.RegistrationParams) -> None:
            self.registered += [each.method for each in params.registrations]
            self._news.set()

        def status(params: Any) -> None:
            self.states.append(params)
            self._news.set()

        client.feature(t.WORKSPACE_APPLY_EDIT)(apply)
        client.feature(t.WINDOW_SHOW_MESSAGE_REQUEST)(ask)
        client.feature(t.CLIENT_REGISTER_CAPABILITY)(register)
        client.feature(STATUS)(status)

    @property
    def capabilities(self) -> t.ClientCapabilities:
        assert self.client.capabilities is not None
        return self.client.capabilities

    def uri(self, name: str) -> str:
        return (self.root / name).as_uri()

    def open(self, name: str, text: str | None = None) -> str:
        """Open a file of the project, or another text in its place; its URI."""
        uri = self.uri(name)
        params = self.buffers.open(uri, (self.root / name).read_bytes().decode() if text is None else text)
        self.served.add(uri)
        self.client.text_document_did_open(CONVERTER.structure(params, t.DidOpenTextDocumentParams))
        return uri

    def place(self, uri: str, offset: int) -> t.Position:
        return t.Position(**self.buffers.position(uri, offset))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something said that makes this true."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def progress(self, what: str) -> t.ProgressToken:
        """The token of a progress display, as soon as there is one."""
        async with asyncio.timeout(WAIT_S):
            while not (tokens := [token for token in self.client.progress_reports if what in str(token)]):
                await self.client.wait_for_notification(t.PROGRESS)
        return tokens[-1]

    async def ready(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1].state == "ready")

    async def actions(self, uri: str, offset: int) -> list[t.CodeAction]:
        at = self.place(uri, offset)
        params = t.CodeActionParams(t.TextDocumentIdentifier(uri), t.Range(at, at), t.CodeActionContext(diagnostics=[]))
        await self.client.text_document_code_action_async(params)
        # As it was sent: lsprotocol takes an action that has a command for a command.
        [*_, sent] = traffic.newest(self.log).answers(t.TEXT_DOCUMENT_CODE_ACTION)
        return [CONVERTER.structure(each, t.CodeAction) for each in sent]

    async def command(self, command: str, *arguments: Any) -> Any:
        params = t.ExecuteCommandParams(command, list(arguments))
        return plain(await self.client.workspace_execute_command_async(params))

    async def chosen(self, action: t.CodeAction) -> Any:
        """What an editor does with a chosen action: resolve, apply, run its command; that one's result."""
        if action.data is not None:
            action = await self.client.code_action_resolve_async(action)
        if action.edit is not None:
            assert self._apply(CONVERTER.unstructure(action.edit)).applied
        return await self.command(action.command.command, *(action.command.arguments or ())) if action.command else None

    def _apply(self, edit: dict[str, Any]) -> t.ApplyWorkspaceEditResult:
        """All or nothing, but for `leaves`; closed files are changed on the disk."""
        self.edits.append(edit)
        notes = (edit.get("changeAnnotations") or {}).values()
        if not self.agrees and any(note.get("needsConfirmation") for note in notes):
            return t.ApplyWorkspaceEditResult(applied=False, failure_reason="the person said no")
        parts = edit.get("documentChanges") or []
        for part in parts:
            uri = part.get("uri") or part["textDocument"]["uri"]
            if part.get("kind") == "create":  # an empty buffer of Neovim's has a line
                self.buffers.open(uri, "\n" if self.profile.startswith("nvim") else "")
            elif uri not in self.buffers.buffers:
                self.buffers.open(uri, path_of(uri).read_bytes().decode())
        kept = [part for part in parts if "textDocument" in part and part["textDocument"]["uri"] not in self.leaves]
        try:
            told = self.buffers.apply({**edit, "documentChanges": kept})
        except Refused as refusal:
            return t.ApplyWorkspaceEditResult(applied=False, failure_reason=str(refusal))
        for params in told:
            uri = params["textDocument"]["uri"]
            if uri in self.served:
                self.client.text_document_did_change(CONVERTER.structure(params, t.DidChangeTextDocumentParams))
            else:
                path_of(uri).write_bytes(self.buffers.text(uri).encode())
        return t.ApplyWorkspaceEditResult(applied=True)

    def files(self) -> dict[str, str]:
        """What the project's files hold, open ones in their buffers."""
        paths = sorted((self.root / "shop").iterdir())
        found = {f"shop/{path.name}": path.read_bytes().decode() for path in paths}
        return {
            name: self.buffers.text(self.uri(name)) if self.uri(name) in self.served else text
            for name, text in found.items()
        }


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def plain(value: Any) -> Any:
    """pygls makes objects of what it has no type for."""
    return json.loads(json.dumps(CONVERTER.unstructure(value), default=lambda each: each._asdict()))


@asynccontextmanager
async def desk(profile: str, root: Path, log: Path) -> AsyncIterator[Desk]:
    """A window on `root` with an editor's recorded capabilities; what was said is checked at the end."""
    client = make_test_lsp_client()
    found = Desk(client, profile, root, log)
    await client.start_io(sys.executable, tee.__file__, str(log), "--", sys.executable, "-P", "-m", "qwen_lsp")
    try:
        await client.initialize_session(
            t.InitializeParams(
                capabilities=CONVERTER.structure(json.loads(PROFILES[profile].read_text()), t.ClientCapabilities),
                client_info=t.ClientInfo(NAMES[profile.split("_")[0]], profile.split("_")[1]),
                workspace_folders=[t.WorkspaceFolder(root.as_uri(), "project")],
            )
        )
        await found.ready()
        yield found
        await client.shutdown_session()
    finally:
        await client.stop()  # type: ignore[no-untyped-call]
    traffic.check(log)
