"""A guard on the daemon's sockets: it talks to nobody, programs of this machine's own user aside.

An audit hook sees every connection and every look-up of a name that Python code makes, in any library: all but unix
sockets is refused with an error, and the log names the place. It can not be taken off again, and does not see sockets
that foreign code opens without Python. Downloads are another command's, which runs without it.
"""

import logging
import socket
import sys

log = logging.getLogger(__name__)

_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_is_on: list[bool] = []


class Egress(PermissionError):
    """Somebody tried to reach another machine."""


def guard() -> None:
    """From now on, for good. Safe to call often."""
    if not _is_on:
        _is_on.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in _CONNECTS:
        family, address = getattr(arguments[0], "family", None), arguments[1]
        if address is None or family == getattr(socket, "AF_UNIX", None):
            return
        _refuse(f"a connection to {address[0] if isinstance(address, tuple) and address else '?'}")
    elif event in _LOOK_UPS and arguments[0]:
        _refuse("a look-up of a name")


def _refuse(what: str) -> None:
    log.error("egress refused: %s", what)
    raise Egress(1, f"refused by the egress guard: {what}")
