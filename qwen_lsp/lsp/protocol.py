"""The wire's discipline: every request is answered exactly once, whatever it holds and whatever fails.

A subclass of pygls' protocol, because four things there are not what we promise:
- its own text sync splits lines at form feed and U+2028 and keeps every document twice: switched off;
- a request with malformed parameters, or one after `shutdown`, gets no answer;
- a coroutine starts only at the loop's next turn; here it runs to its first `await` before the next message is
  looked at, so that a snapshot taken there is of the moment of the request;
- it logs whole messages and answers with an exception's text, both of which can hold source text.

Knows no feature and no session.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from lsprotocol import types as t
from pygls.protocol import LanguageServerProtocol

from qwen_lsp.errors import BadPosition, NotDone, QwenError, StaleDocument, UnknownDocument, UserCancelled
from qwen_lsp.lsp.garbage import Garbage

log = logging.getLogger(__name__)

REQUEST_FAILED = t.LSPErrorCodes.RequestFailed.value
ERROR_CODES: Mapping[type[QwenError], int] = {
    StaleDocument: t.LSPErrorCodes.ContentModified.value,
    NotDone: REQUEST_FAILED,
    UserCancelled: t.LSPErrorCodes.RequestCancelled.value,
    UnknownDocument: t.ErrorCodes.InvalidParams.value,
    BadPosition: t.ErrorCodes.InvalidParams.value,
}

type Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is not what its method needs. `id` None: there is nobody to answer, or no usable id."""

    id: int | str | None
    method: str
    jsonrpc: str
    code: int
    message: str


class Protocol(LanguageServerProtocol):
    """One client on one pair of streams."""

    was_shut_down = False
    _initialized = False

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self._garbage = Garbage()

    def _register_builtin_features(self) -> None:
        self.fm.add_builtin_feature(t.SHUTDOWN, self._end_session)
        self.fm.add_builtin_feature(t.EXIT, self._stop)

    async def _end_session(self, params: object) -> None:
        """Answer whatever is still open, then let the session end."""
        me: object = asyncio.current_task()
        open_requests = [future for future in self._request_futures.values() if future is not me]
        for future in open_requests:
            future.cancel()
        handler = self.fm.features.get(t.SHUTDOWN)
        if handler is not None:
            await handler(params)

    def _stop(self, params: object) -> None:
        """Stop reading; `serve` returns the exit code."""
        self._server.shutdown()  # type: ignore[no-untyped-call]

    # -- what comes in ------------------------------------------------------------------------------------

    def structure_message(self, data: dict[str, Any]) -> Any:
        """The typed message, or a Malformed one. Called for every JSON object, also for the nested ones."""
        if "jsonrpc" not in data:
            return data
        method, msg_id = data.get("method"), data.get("id")
        if method is None and "id" in data:
            return self._structure_response(data)
        if "id" in data and not isinstance(msg_id, int | str):
            return _malformed(None, method, t.ErrorCodes.InvalidRequest, "the id is neither a number nor a string")
        if not isinstance(method, str) or data["jsonrpc"] != self.VERSION:
            return _malformed(msg_id, method, t.ErrorCodes.InvalidRequest, "not a JSON-RPC 2.0 message")
        message_type: Any = self.get_message_type(method)
        is_request = "id" in getattr(message_type, "__annotations__", ())
        if not self._knows(method) or is_request != ("id" in data):
            return _malformed(msg_id, method, t.ErrorCodes.MethodNotFound, "method not found")
        message = self._structured(data, message_type)
        if message is None and method == t.INITIALIZE and isinstance(data.get("params"), dict):
            message = self._structured(data | {"params": self._understood(data["params"])}, message_type)
        if message is None:
            return _malformed(msg_id, method, t.ErrorCodes.InvalidParams, "the parameters do not fit the method")
        return message

    def _structured(self, data: object, wanted: Any) -> Any:
        """`data` as the wanted type; None where it does not fit."""
        try:
            return self._converter.structure(data, wanted)
        except Exception:  # cattrs raises many types, and their texts quote the message
            return None

    def _understood(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parts of `initialize` that we can read: one new word of a newer editor must not lock its user out."""
        known: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": {}}
        for name, value in params.items():
            if name != "capabilities" and self._structured(known | {name: value}, t.InitializeParams) is not None:
                known[name] = value
        groups = params.get("capabilities")
        for group, members in groups.items() if isinstance(groups, dict) else ():
            for name, value in members.items() if isinstance(members, dict) else ():
                if self._structured({group: {name: value}}, t.ClientCapabilities) is not None:
                    known["capabilities"].setdefault(group, {})[name] = value
        return known

    def _structure_response(self, data: dict[str, Any]) -> Any:
        try:
            return super().structure_message(data)
        except Exception:
            return _answer_without_use(data)

    def _knows(self, method: str) -> bool:
        return method == t.CANCEL_REQUEST or method in self.fm.builtin_features or method in self.fm.features

    def handle_message(self, message: Any) -> None:
        """Dispatch one message, or refuse it where LSP's life cycle does not allow it now."""
        method, msg_id = getattr(message, "method", None), getattr(message, "id", None)
        self._garbage.later()
        if isinstance(message, dict | list) or message is None or isinstance(message, str | int | float):
            self._refuse(None, t.ErrorCodes.InvalidRequest, "not a JSON-RPC 2.0 message")
        elif isinstance(message, Malformed):
            if msg_id is None and message.code != t.ErrorCodes.InvalidRequest.value:
                log.debug("ignored notification %s: %s", method, message.message)
            else:
                self._refuse(msg_id, message.code, message.message)
        elif method is None:
            super().handle_message(message)
        elif self._out_of_turn(method):
            if msg_id is not None:
                self._refuse(msg_id, *self._out_of_turn(method))
        else:
            super().handle_message(message)
            self._initialized |= method == t.INITIALIZE
            self.was_shut_down |= method == t.SHUTDOWN

    def _out_of_turn(self, method: str) -> tuple[()] | tuple[int, str]:
        if method == t.EXIT:
            return ()
        if self.was_shut_down:
            return t.ErrorCodes.InvalidRequest.value, "the server is shut down"
        if self._initialized and method == t.INITIALIZE:
            return t.ErrorCodes.InvalidRequest.value, "the server is initialized already"
        if not self._initialized and method != t.INITIALIZE:
            return t.ErrorCodes.ServerNotInitialized.value, "the server is not initialized"
        return ()

    def _handle_request(self, msg_id: int | str, method_name: str, params: Any) -> None:
        self._execute_handler(
            msg_id,
            self._get_handler(method_name),
            callback=partial(self._send_handler_result, msg_id=msg_id),
            args=(params,),
        )

    def _handle_notification(self, method_name: str, params: Any) -> None:
        if method_name == t.CANCEL_REQUEST:
            future = self._request_futures.pop(params.id, None)
            if future is not None:
                future.cancel()
            return
        self._execute_handler("", self._get_handler(method_name), callback=self._check_handler_result, args=(params,))

    def _handle_response(self, msg_id: Any, result: Any = None, error: Any = None) -> None:
        future = self._request_futures.get(msg_id)
        if future is not None and future.done():  # nobody waits any more; pygls would raise
            del self._request_futures[msg_id]
            return
        super()._handle_response(msg_id, result, error)

    def _execute_handler(
        self,
        msg_id: int | str,
        handler: Handler,
        callback: Callable[[Future[Any]], None],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Run a handler: a coroutine at once up to its first await, anything else to its end."""
        future: Any
        if asyncio.iscoroutinefunction(handler):
            loop = asyncio.get_running_loop()
            future = asyncio.Task(handler(*args or ()), loop=loop, eager_start=True)
            if msg_id != "":
                self._request_futures[msg_id] = future
            future.add_done_callback(callback)
            return
        future = Future()
        try:
            future.set_result(handler(*args or ()))
        except Exception as error:
            future.set_exception(error)
        callback(future)

    # -- what goes out ------------------------------------------------------------------------------------

    def _send_handler_result(self, future: Any, *, msg_id: int | str) -> None:
        """The one place where a request is answered after its handler ran."""
        if self._request_futures.get(msg_id) is future:
            del self._request_futures[msg_id]
        if future.cancelled():
            self._refuse(msg_id, t.LSPErrorCodes.RequestCancelled.value, "cancelled")
        elif (error := future.exception()) is None:
            self._send_response(msg_id, result=future.result())
        elif isinstance(error, QwenError):
            self._refuse(msg_id, ERROR_CODES.get(type(error), REQUEST_FAILED), error.message)
        else:
            _log_unexpected(error)
            self._refuse(msg_id, t.ErrorCodes.InternalError.value, f"internal error ({type(error).__name__})")

    def _check_handler_result(self, future: Any) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            _log_unexpected(error)

    def _refuse(self, msg_id: int | str | None, code: int | t.ErrorCodes, message: str) -> None:
        self._send_data({"jsonrpc": self.VERSION, "id": msg_id, "error": {"code": int(code), "message": message}})

    def refuse_unreadable(self) -> None:
        """Answer bytes that are no JSON at all."""
        self._refuse(None, t.ErrorCodes.ParseError, "the message is not valid JSON")

    def _send_data(self, data: Any) -> None:
        if self.writer is None:
            return
        try:
            body = json.dumps(data, default=self._serialize_message)
        except Exception as error:  # an answer that can not be written must still be one
            _log_unexpected(error)
            if getattr(data, "method", None) is None:
                self._refuse(getattr(data, "id", None), t.ErrorCodes.InternalError, "the answer can not be written")
            return
        octets = body.encode(self.CHARSET)
        head = f"Content-Length: {len(octets)}\r\n\r\n".encode() if self._include_headers else b""
        try:
            written = self.writer.write(head + octets)
        except (BrokenPipeError, ValueError):  # the editor is gone; reading ends as well
            log.debug("nobody reads our answers any more")
            return
        if asyncio.iscoroutine(written):
            asyncio.ensure_future(written)  # noqa: RUF006  # only a test's stream is asynchronous


def _malformed(msg_id: Any, method: Any, code: t.ErrorCodes, message: str) -> Malformed:
    return Malformed(msg_id, str(method), "2.0", code.value, message)


def _answer_without_use(data: Mapping[str, Any]) -> t.ResponseErrorMessage:
    error = t.ResponseError(code=t.ErrorCodes.InvalidRequest.value, message="the client's answer has a wrong shape")
    return t.ResponseErrorMessage(id=data.get("id") if isinstance(data.get("id"), int | str) else None, error=error)


def _log_unexpected(error: BaseException) -> None:
    """The type and the place; the message may hold source text."""
    frames = traceback.extract_tb(error.__traceback__)
    place = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
    log.error("unexpected %s at %s", type(error).__name__, place)
