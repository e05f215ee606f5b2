"""Every error that this package raises on purpose, in one tree.

    QwenError
    ├── EngineError              the model can not answer
    │   ├── EngineMissing        no engine could be found or started
    │   ├── EngineLoading        it starts, or the model is not in memory yet: ask again
    │   ├── EngineBusy           too many jobs wait already: ask again
    │   ├── EngineSuperseded     a newer request of this window took this one's place
    │   ├── EngineRefused        it refuses this request (too long, malformed, unknown model)
    │   └── EngineLost           the connection broke, or nothing came within the time limit
    ├── UnknownDocument          the editor asks about a file that it has not opened
    ├── BadPosition              an offset, a range or a piece of data that can not belong to this document
    ├── EditConflict             edits overlap, or name two versions of one file
    ├── StaleDocument            the text changed since the answer was begun
    └── NotDone                  the work ended without a result, for a reason that a person can read
        └── UserCancelled        the reason is that the user wished so, which nobody has to be told

`kind` is what a program compares (the user is told once per kind, not once per keystroke), the message what a
person reads. Neither holds source text, prompts or completions. This module does not know LSP's error numbers;
those are in `lsp/protocol.py`.
"""


class QwenError(Exception):
    """The base; never raised itself."""

    kind = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class EngineError(QwenError):
    """The model can not answer."""

    kind = "engine"


class EngineMissing(EngineError):
    """No engine could be found or started."""

    kind = "engine_missing"


class EngineLoading(EngineError):
    """The engine starts, or its model is not in memory yet."""

    kind = "engine_loading"


class EngineBusy(EngineError):
    """The engine has too many jobs waiting."""

    kind = "engine_busy"


class EngineSuperseded(EngineError):
    """A newer request of this window took this one's place: no failure, like a cancel."""

    kind = "engine_superseded"


class EngineRefused(EngineError):
    """The engine says that this request can not be done."""

    kind = "engine_refused"


class EngineLost(EngineError):
    """The connection broke, or nothing came within the time limit."""

    kind = "engine_lost"


class UnknownDocument(QwenError):
    """The editor asks about a file that it has not opened."""

    kind = "unknown_document"


class BadPosition(QwenError):
    """An offset, a range or a piece of data that can not belong to this document."""

    kind = "bad_position"


class EditConflict(QwenError):
    """Edits that overlap, or that name two versions of one file."""

    kind = "edit_conflict"


class StaleDocument(QwenError):
    """The text changed since the answer was begun."""

    kind = "stale_document"


class NotDone(QwenError):
    """The work ended without a result; the message is the reason."""

    kind = "not_done"


class UserCancelled(NotDone):
    """The user pressed the cancel button."""

    kind = "user_cancelled"
