"""Typed reading of one JSON object: every refusal names the field and says what is allowed.

Knows nothing of what the fields mean. No message repeats a value: it could be a user's text.
"""

import json
import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from inference.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Real:
    """The range of a number. `open_low`: `low` itself is not allowed."""

    default: float
    low: float
    high: float
    open_low: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """The range of an integer."""

    default: int | None
    low: int
    high: int


def parse(body: bytes) -> "Fields":
    """The JSON object in a request's body."""
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadRequest("the body is not valid UTF-8") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError:
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return Fields(value)


class Fields:
    """The fields of one object. `null` counts as absent; fields that nobody asks for are ignored."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = values
        self._path = path

    def get(self, name: str) -> object:
        return self._values.get(name)

    def refuse(self, name: str, rule: str) -> BadRequest:
        """The error for field `name`, to be raised by the caller."""
        path = f"{self._path}{name}"
        return BadRequest(f"{path} {rule}", path)

    def real(self, name: str, limits: Real) -> float:
        value = self.get(name)
        if value is None:
            return limits.default
        above = ("above" if limits.open_low else "from") + f" {limits.low:g}"
        error = self.refuse(name, f"must be a number {above} to {limits.high:g}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise error
        if not limits.low <= value <= limits.high or (limits.open_low and value == limits.low):  # NaN fails, too
            raise error
        return float(value)

    def whole(self, name: str, limits: Whole) -> int | None:
        value = self.get(name)
        if value is None:
            return limits.default
        if isinstance(value, bool) or not isinstance(value, int) or not limits.low <= value <= limits.high:
            raise self.refuse(name, f"must be an integer from {limits.low} to {limits.high}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, "must be true or false")
        return value

    def text(self, name: str, default: str | None = None, max_chars: int | None = None) -> str:
        """A string; required where there is no default."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        return self.checked_text(name, value, max_chars)

    def checked_text(self, name: str, value: object, max_chars: int | None = None) -> str:
        if not isinstance(value, str):
            raise self.refuse(name, "must be a string")
        if max_chars is not None and len(value) > max_chars:
            raise self.refuse(name, f"must have at most {max_chars} characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.refuse(name, "holds half of a surrogate pair") from None
        return value

    def inner(self, name: str) -> "Fields":
        """An object within this one; empty where absent."""
        value = self.get(name)
        if value is None:
            return Fields({}, f"{self._path}{name}.")
        if not isinstance(value, dict):
            raise self.refuse(name, "must be an object")
        return Fields(value, f"{self._path}{name}.")

    def objects(self, name: str) -> list["Fields"]:
        """A non-empty list of objects."""
        value = self.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            raise self.refuse(name, "must be a non-empty list of objects")
        return [Fields(item, f"{self._path}{name}[{index}].") for index, item in enumerate(value)]

    def packed(self, name: str, high: int) -> tuple[int, ...]:
        """Integers from 0 as base64 of 32-bit words, the lowest byte first; empty where absent.

        Reading 32,000 takes a tenth of the time of a JSON list of them.
        """
        value = self.get(name)
        if value is None:
            return ()
        rule = "must be base64 of 32-bit words"
        if not isinstance(value, str):
            raise self.refuse(name, rule)
        words = array("I")
        try:
            words.frombytes(b64decode(value, validate=True))
        except ValueError:
            raise self.refuse(name, rule) from None
        if sys.byteorder == "big":
            words.byteswap()
        if words and max(words) > high:
            raise self.refuse(name, f"must hold integers from 0 to {high} only")
        return tuple(words)

    def ints(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """A list of integers within bounds; empty where absent. Quick on 100,000 of them."""
        value = self.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not set(map(type, value)) <= {int}:
            raise self.refuse(name, "must be a list of integers")
        if value and not (low <= min(value) and max(value) <= high):
            raise self.refuse(name, f"must hold integers from {low} to {high} only")
        return tuple(value)
