"""Every error that the daemon answers with, and its HTTP status, in one tree.

    EngineError
    ├── BadRequest            400  the request says something that can not be done
    │   ├── PromptTooLong     400  prompt plus answer do not fit the context
    │   └── BodyTooLarge      413  the body is over the limit
    ├── UnknownPrompt         412  the prompt that this one begins with is not kept any more: send it whole
    ├── UnknownModel          404  another model is loaded
    ├── ModelLoading          503  ask again in a moment
    ├── Superseded            409  a newer request of the same client took this one's place
    ├── QueueFull             429  too many jobs wait already
    ├── ModelBroken           500  the model's files or its numbers are unusable
    ├── NotEnoughMemory       500  the model, or the context asked for, does not fit this machine
    └── EngineUnavailable     500  the engine's package is not installed or does not run here

`code` is what a program reads, the message what a person reads. Neither holds prompt text.
"""


class EngineError(Exception):
    """The base; never raised itself. `param` names the request's field at fault, if one is."""

    status = 500
    code = "internal_error"
    kind = "server_error"  # OpenAI's `error.type`

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class BadRequest(EngineError):
    """The request is malformed or asks for something absurd."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class PromptTooLong(BadRequest):
    """Prompt and answer together are longer than the context."""

    code = "context_length_exceeded"


class BodyTooLarge(BadRequest):
    """The request's body is over the limit."""

    status = 413
    code = "body_too_large"


class UnknownPrompt(EngineError):
    """The request begins with an earlier prompt that is not kept any more."""

    status = 412
    code = "prompt_unknown"
    kind = "invalid_request_error"


class UnknownModel(EngineError):
    """The request names a model that this daemon does not serve."""

    status = 404
    code = "model_not_found"
    kind = "invalid_request_error"


class ModelLoading(EngineError):
    """The model is not in memory yet."""

    status = 503
    code = "model_loading"


class Superseded(EngineError):
    """A newer request of the same client, for the same thing, took this one's place."""

    status = 409
    code = "superseded"
    kind = "conflict_error"


class QueueFull(EngineError):
    """More jobs wait than the daemon takes on."""

    status = 429
    code = "queue_full"
    kind = "rate_limit_error"


class ModelBroken(EngineError):
    """The model's files do not load, or its logits are not numbers."""

    code = "model_broken"


class NotEnoughMemory(EngineError):
    """The model with the least of a context, or with the context asked for, does not fit this machine."""

    code = "not_enough_memory"


class EngineUnavailable(EngineError):
    """The engine's package is missing or does not run on this machine."""

    code = "engine_unavailable"
