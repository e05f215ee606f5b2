"""The key of a remote server: from the environment or the user's keyring, by name. The only place that reads it.

Settings hold the name only, and a repository may set none (`settings.py`). The key is in no log, message or `repr`.
"""

import asyncio
import os
from collections.abc import Mapping

from qwen_lsp.errors import EngineMissing

SERVICE = "qwen-lsp"  # `keyring set qwen-lsp NAME`
KEYRING_TIMEOUT_S = 60.0  # a locked keyring asks its owner for a password first
ENVIRONMENT = "env:"


async def key_named(place: str, environ: Mapping[str, str] = os.environ) -> str:
    """The key. Raises EngineMissing where there is none, with what to do."""
    if place.startswith(ENVIRONMENT):
        name = place.removeprefix(ENVIRONMENT)
        found = environ.get(name, "").strip()
        problem = f"the environment variable {name}, which remote.key names, is not set"
    else:
        try:
            async with asyncio.timeout(KEYRING_TIMEOUT_S):
                found = await asyncio.to_thread(_from_keyring, place)
        except TimeoutError as error:
            raise EngineMissing("the keyring did not answer") from error
        problem = f"the keyring has no entry {place}: `keyring set {SERVICE} {place}`"
    if not found:
        raise EngineMissing(problem)
    if not (found.isascii() and found.isprintable()):
        raise EngineMissing("the key that remote.key names holds characters that no key has")
    return found


def _from_keyring(name: str) -> str:
    import keyring  # a tenth of a second, which only who uses it pays
    from keyring.errors import KeyringError

    try:
        return (keyring.get_password(SERVICE, name) or "").strip()
    except KeyringError as error:
        raise EngineMissing(f"the keyring can not be read ({type(error).__name__})") from error
