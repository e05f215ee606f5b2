"""Who may ask over TCP: whoever has the token. Knows no route and opens no socket.

A unix socket's peers have been checked by their uid already (`lifecycle/peer.py`) and have no address; everybody else
must say `Authorization: Bearer TOKEN` with each request, /health included.
"""

import hmac
import os
import stat
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.wire.answers import error_body

LEAST_CHARS = 32  # 128 bits in hex


def read_token(path: Path) -> str:
    """The token in a file of ours that nobody else can read. Raises PermissionError or ValueError with the reason."""
    status = path.stat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(1, "the token's file must be yours, with mode 0600", str(path))
    token = path.read_text("utf-8").strip()
    if len(token) < LEAST_CHARS or not token.isascii() or not token.isprintable():
        raise ValueError(f"{path}: a token has {LEAST_CHARS} printable characters or more")
    return token


class TokenRequired:
    """The application, for those who may."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("client") is None or self._may(scope):
            await self._app(scope, receive, send)
            return
        body = error_body("a token is needed", "authentication_error", None, "unauthorized")
        await JSONResponse(body, status_code=401, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        said = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(said) == 1 and hmac.compare_digest(said[0], self._wanted)
