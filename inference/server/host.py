"""Which name a request over TCP may come under: this machine's loopback names, or the address it arrived at.

A web page can point a name of its own at 127.0.0.1 and then read the answers as its own (DNS rebinding); its requests
bear that name. The unix socket's peers have no address and are no web pages. Knows no route and no token.
"""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.wire.answers import error_body

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class OwnHost:
    """The application, under the names that are its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("client") is None or _is_own(scope):
            await self._app(scope, receive, send)
            return
        body = error_body("the Host header is not this server's", "invalid_request_error", None, "misdirected")
        await JSONResponse(body, status_code=421)(scope, receive, send)


def _is_own(scope: Scope) -> bool:
    said = [value for name, value in scope["headers"] if name == b"host"]
    server = scope.get("server")
    own = LOOPBACK if server is None else LOOPBACK | {server[0]}
    return len(said) == 1 and name_of(said[0].decode("latin-1")) in own


def name_of(host: str) -> str:
    """A Host header without its port, which `ssh -L` may have changed. "" where it is none."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = host
    elif not (port.isascii() and port.isdigit()):
        return ""
    if name.startswith("[") and name.endswith("]"):
        return name[1:-1]
    return "" if ":" in name else name.lower()
