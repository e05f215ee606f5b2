"""A real process on real pipes: exit codes, random edits in both encodings, bursts, broken bytes."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from qwen_lsp.text.lines import Encoding
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.text.test_document import PIECES

ROOT = Path(__file__).parents[3]
MAIN = [sys.executable, "-m", "tests.qwen_lsp.lsp.server_fake"]
URI = "file:///w/a.py"
TIMEOUT_S = 30


@asynccontextmanager
async def client(encoding: str = "utf-16") -> AsyncIterator[LanguageClient]:
    """pygls' own client, connected and initialized; at the end the server has exited with code 0."""
    language_client = LanguageClient("test", "1")
    await language_client.start_io(*MAIN, cwd=ROOT)
    capabilities = t.ClientCapabilities(
        general=t.GeneralClientCapabilities(position_encodings=[t.PositionEncodingKind(encoding)])
    )
    await language_client.initialize_async(t.InitializeParams(capabilities=capabilities))
    language_client.initialized(t.InitializedParams())
    try:
        yield language_client
        await language_client.shutdown_async(None)
        language_client.exit(None)
        assert language_client._server is not None
        async with asyncio.timeout(TIMEOUT_S):
            assert await language_client._server.wait() == 0
    finally:
        await language_client.stop()  # type: ignore[no-untyped-call]


def inline(editor: FakeEditor, offset: int) -> t.InlineCompletionParams:
    where = editor.position(URI, offset)
    return t.InlineCompletionParams(
        context=t.InlineCompletionContext(trigger_kind=t.InlineCompletionTriggerKind.Invoked),
        text_document=t.TextDocumentIdentifier(URI),
        position=t.Position(where["line"], where["character"]),
    )


def typed(params: dict[str, Any]) -> t.DidChangeTextDocumentParams:
    """The editor's JSON as the client's types."""
    document = t.VersionedTextDocumentIdentifier(version=params["textDocument"]["version"], uri=URI)
    changes = []
    for change in params["contentChanges"]:
        start, end = (t.Position(**change["range"][side]) for side in ("start", "end"))
        changes.append(t.TextDocumentContentChangePartial(range=t.Range(start, end), text=change["text"]))
    return t.DidChangeTextDocumentParams(text_document=document, content_changes=changes)


def open_(language_client: LanguageClient, editor: FakeEditor, text: str) -> None:
    editor.open(URI, text)
    language_client.text_document_did_open(
        t.DidOpenTextDocumentParams(t.TextDocumentItem(uri=URI, language_id="python", version=1, text=text))
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_random_edits_over_stdio_leave_both_texts_equal(encoding: Encoding) -> None:
    draw = random.Random(7)
    editor = FakeEditor(encoding)
    n_edits = n_compared = 0
    async with client(encoding) as language_client:
        open_(language_client, editor, "# é🙂\r\ndef f():\n    return 'ü'\n")
        while n_edits < 1000:
            text = editor.text(URI)
            start, n_replaced = edge(text, draw.randrange(len(text) + 1)), draw.choice((0, 0, 1, 3, 9))
            end = edge(text, min(len(text), start + n_replaced))
            new = "".join(draw.choice(PIECES) for _ in range(draw.randrange(3))) if len(text) < 120 else ""
            end = min(len(text), start + 60) if len(text) >= 120 else end
            language_client.text_document_did_change(typed(editor.type(URI, start, new, edge(text, end) - start)))
            n_edits += 1
            if n_edits % 20 == 0:
                result = await language_client.text_document_inline_completion_async(inline(editor, 0))
                assert isinstance(result, t.InlineCompletionList)
                assert result.items[0].insert_text == editor.text(URI)
                n_compared += 1
    print(f"{encoding}: {n_edits} random edits over stdio, compared {n_compared} times, equal")


def edge(text: str, offset: int) -> int:
    """The nearest place before which a caret can stand: not between CR and LF."""
    return offset - 1 if text[offset - 1 : offset + 1] == "\r\n" and offset else offset


async def test_two_hundred_requests_get_two_hundred_answers() -> None:
    editor = FakeEditor("utf-16")
    async with client() as language_client:
        open_(language_client, editor, "")
        answers = []
        for n in range(200):
            language_client.text_document_did_change(typed(editor.type(URI, n, "x")))
            request = language_client.protocol.send_request_async(
                t.TEXT_DOCUMENT_INLINE_COMPLETION, inline(editor, n + 1), msg_id=f"r{n}"
            )
            answers.append(request)
            if n % 9 == 0:
                language_client.cancel_request(t.CancelParams(id=f"r{n}"))
        async with asyncio.timeout(TIMEOUT_S):
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
    kinds = Counter(kind(outcome) for outcome in outcomes)
    assert kinds["text"] >= 1
    assert sum(kinds.values()) == 200
    assert set(kinds) <= {"text", "null", "-32800"}


def kind(outcome: object) -> str:
    if isinstance(outcome, JsonRpcException):
        return str(outcome.code)
    return "null" if outcome is None else "text"


async def test_a_cancelled_request_and_a_shutdown_with_one_open() -> None:
    editor = FakeEditor("utf-16")
    async with client() as language_client:
        open_(language_client, editor, "wait")
        send = language_client.protocol.send_request_async
        first = send(t.TEXT_DOCUMENT_INLINE_COMPLETION, inline(editor, 4), msg_id="one")
        language_client.cancel_request(t.CancelParams(id="one"))
        second = send(t.TEXT_DOCUMENT_INLINE_COMPLETION, inline(editor, 4), msg_id="two")
        async with asyncio.timeout(TIMEOUT_S):
            with pytest.raises(JsonRpcException) as cancelled:
                await first
    with pytest.raises(JsonRpcException) as shut_down:
        await second
    assert (cancelled.value.code, shut_down.value.code) == (-32800, -32800)


def framed(*bodies: bytes) -> bytes:
    return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)


async def talk(*bodies: bytes) -> tuple[int, list[Any], bytes]:
    """Write raw bodies, close stdin; the exit code, the answers and stderr."""
    process = await asyncio.create_subprocess_exec(*MAIN, cwd=ROOT, stdin=-1, stdout=-1, stderr=-1)
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate(framed(*bodies))
    answers = []
    while out:
        head, _, out = out.partition(b"\r\n\r\n")
        length = int(head.removeprefix(b"Content-Length: "))
        answers.append(json.loads(out[:length]))
        out = out[length:]
    assert process.returncode is not None
    return process.returncode, answers, err


def message(method: str, params: Any = None, msg_id: Any = None) -> bytes:
    whole = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": msg_id} if msg_id else {})
    return json.dumps(whole).encode()


INITIALIZE = message("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 1)


@pytest.mark.parametrize("bodies", [(INITIALIZE, message("exit")), (INITIALIZE,)])
async def test_leaving_without_shutdown_is_exit_code_1(bodies: tuple[bytes, ...]) -> None:
    assert (await talk(*bodies))[0] == 1


async def test_broken_bytes_are_answered_and_not_quoted() -> None:
    code, answers, err = await talk(
        INITIALIZE,
        b'{"jsonrpc": "2.0", "id": 5, "method": "hunter2',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        message("textDocument/hover", {"hunter2": 1}, 6),
        message("shutdown", None, 7),
        message("exit"),
    )
    assert code == 0
    assert [(answer.get("id"), answer.get("error", {}).get("code")) for answer in answers] == [
        (1, None),
        (None, -32700),
        (None, -32700),
        (None, -32700),
        (6, -32601),
        (7, None),
    ]
    assert b"hunter2" not in err
