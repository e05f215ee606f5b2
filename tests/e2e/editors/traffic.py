"""What an editor and the server said to each other, as `tee.py` wrote it down, held against lsprotocol's types.

Every message must be one that the specification knows, or one of ours; what the server sends must be all of the
specification: a field that lsprotocol does not know is a fault. Knows no editor.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cattrs import Converter
from lsprotocol import converters
from lsprotocol import types as t

OURS = ("qwen/status", "qwen/refresh")
# Messages that real editors send beside the specification; what they hold is theirs.
EDITORS_OWN = ("$/setTrace", "$/logTrace", "textDocument/didFocus")


@dataclass(slots=True)
class Session:
    """One run of the server: what was said in it, in order."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def sent(self, sender: str, method: str) -> list[dict[str, Any]]:
        """The messages of one side with this method."""
        return [m for m in self.messages(sender) if m.get("method") == method]

    def messages(self, sender: str) -> Iterator[dict[str, Any]]:
        return (line["message"] for line in self.lines if line.get("from") == sender and "message" in line)

    def progress(self) -> list[str]:
        """The lines of all progress displays so far."""
        values = [m["params"]["value"] for m in self.sent("server", "$/progress")]
        return [value.get("message", "") for value in values]

    def answers(self, method: str) -> list[Any]:
        """The server's results for the editor's requests of this method, in the order of the requests."""
        by_id = {m["id"]: m for m in self.messages("server") if "id" in m and "method" not in m}
        return [by_id[m["id"]].get("result") for m in self.sent("editor", method) if m["id"] in by_id]

    @property
    def was_shut_down(self) -> bool:
        return bool(self.sent("editor", "shutdown"))


def read(log: Path) -> list[Session]:
    """The sessions of a log, in the order of their start."""
    found: dict[int, Session] = {}
    if log.exists():
        for line in log.read_text("utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the last line of a process that was killed
            found.setdefault(entry["session"], Session()).lines.append(entry)
    return list(found.values())


def newest(log: Path) -> Session:
    """The session that began last; an empty one before the first."""
    sessions = read(log)
    return sessions[-1] if sessions else Session()


def check(log: Path) -> list[Session]:
    """The sessions, every message of which is well-formed, and every request of which has exactly one answer."""
    sessions = read(log)
    faults = [fault for session in sessions for fault in _faults(session)]
    assert faults == [], "\n".join(faults)
    assert sessions, f"nothing was said in {log}"
    return sessions


def _faults(session: Session) -> Iterator[str]:
    requests: dict[str, dict[Any, str]] = {"editor": {}, "server": {}}
    answered: Counter[tuple[str, Any]] = Counter()
    for line in session.lines:
        if "broken" in line:
            yield f"{line['from']} sent no frame: {line['broken']}"
        message, sender = line.get("message"), line.get("from")
        if message is None or sender is None:
            continue
        other = "server" if sender == "editor" else "editor"
        if "method" in message:
            if "id" in message:
                requests[sender][message["id"]] = message["method"]
            yield from _message_faults(message, message["method"], sender)
        elif message.get("id") not in requests[other]:
            yield f"{sender} answered what was not asked: {_short(message)}"
        else:
            answered[other, message["id"]] += 1
            yield from _message_faults(message, requests[other][message["id"]], sender)
    for asker, ids in requests.items():
        for number, method in ids.items():
            n_answers = answered[asker, number]
            # An editor that kills the server waits for nothing; one that leaves not for the answer to `shutdown`.
            waits = asker == "editor" and session.was_shut_down and method != "shutdown"
            if n_answers > 1 or (n_answers == 0 and waits):
                yield f"{method} {number} of the {asker} has {n_answers} answers"


def _message_faults(message: Mapping[str, Any], method: str, sender: str) -> Iterator[str]:
    types = t.METHOD_TO_TYPES.get(method)
    if types is None:
        own = OURS if sender == "server" else EDITORS_OWN
        if "method" in message and method not in own:
            yield f"{sender} sent {method}, which the specification does not have"
        return
    if "error" in message:
        kind: Any = t.ResponseErrorMessage
    else:
        kind = types[0] if "method" in message else types[1]
    if kind is None:
        yield f"{sender} answered a notification: {_short(message)}"
        return
    if method == t.TEXT_DOCUMENT_CODE_ACTION and "result" in message:
        yield from _action_faults(message["result"] or [])
        return
    try:
        structured = _converter().structure(message, kind)
    except Exception as error:  # whatever cattrs raises for a message that does not fit
        yield f"{sender}, {method}: {type(error).__name__}: {error}: {_short(message)}"
        return
    if sender == "server":
        again = _converter().unstructure(structured, kind)
        if _plain(again) != _plain(message):
            yield f"{sender}, {method}: more than the specification has: {_short(message)} is not {_short(again)}"


def _action_faults(actions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One by one: lsprotocol takes an action that has a command for a command."""
    for action in actions:
        kind: Any = t.Command if isinstance(action.get("command"), str) else t.CodeAction
        if _plain(_converter().unstructure(_converter().structure(action, kind), kind)) != _plain(action):
            yield f"server, code action: more than the specification has: {_short(action)}"


@cache
def _converter() -> Converter:
    return converters.get_converter()


def _plain(value: Any) -> Any:
    """Without nulls in objects: null and absent say the same there."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _short(message: object) -> str:
    return json.dumps(message, default=str)[:400]
