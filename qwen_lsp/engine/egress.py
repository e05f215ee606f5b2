"""A guard on this process's sockets: it may talk to programs of this machine's own user, and to one named server.

An audit hook sees every connection and every look-up of a name that Python code makes, in any library. What is not
allowed raises `Egress`, and one line in the log names the place, never what was to be sent. It can not be taken off
again, which is the point; it does not see sockets that foreign code opens without Python.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


class Egress(PermissionError):
    """A connection to somewhere that the user has not named."""


@dataclass(slots=True)
class Allowed:
    """`hosts`: names as the user wrote them. `addresses`: what those resolved to. `n_*`: for tests and status."""

    hosts: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    n_connections: int = 0
    n_refused: int = 0


ALLOWED = Allowed()
_is_on: list[bool] = []


def guard() -> None:
    """From now on, for good. Safe to call often."""
    if not _is_on:
        _is_on.append(True)
        sys.addaudithook(_hook)


def name(host: str | None) -> None:
    """The one server that may be talked to, or none: what was named before is so no more."""
    ALLOWED.hosts.clear()
    ALLOWED.addresses.clear()
    if host:
        ALLOWED.hosts.add(host.lower())


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    check = _CHECKS.get(event)
    if check is not None:
        check(*arguments)


def _connect(connection: object, address: object) -> None:
    family = getattr(connection, "family", None)
    if family == getattr(socket, "AF_UNIX", None):
        ALLOWED.n_connections += 1
        return
    host = str(address[0]).lower() if isinstance(address, tuple) and address else "?"
    if sys.platform == "win32" and host in ("127.0.0.1", "::1"):  # asyncio's own pair of sockets
        return
    if host in ALLOWED.addresses or host in ALLOWED.hosts:
        ALLOWED.n_connections += 1
        return
    _refuse(f"a connection to {host}")


def _send(connection: object, address: object) -> None:
    """A datagram, which needs no connection."""
    if address is not None:
        _connect(connection, address)


def _look_up(host: object, *_: object) -> None:
    """Looking up a name tells it to a name server."""
    wanted = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    if wanted.lower() in ALLOWED.hosts:
        _resolve(wanted.lower())
    elif host is not None and not _is_number(wanted):
        _refuse(f"a look-up of {wanted}")


def _resolve(host: str) -> None:
    """Remember what the named server's name stands for. Asked under the same name, so the hook is entered once more."""
    if host in _resolving:
        return
    _resolving.add(host)
    try:
        for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
            ALLOWED.addresses.add(str(address[0]).lower())
    except OSError:
        pass  # the caller's own look-up says so
    finally:
        _resolving.discard(host)


_resolving: set[str] = set()


def _is_number(host: str) -> bool:
    """An address in figures is told to nobody."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
            return True
        except OSError:
            continue
    return host == ""


def _refuse(what: str) -> None:
    ALLOWED.n_refused += 1
    log.error("egress refused: %s (process %d)", what, os.getpid())
    raise Egress(1, f"refused by the egress guard: {what}")


_CHECKS: dict[str, Callable[..., None]] = {
    "socket.connect": _connect,
    "socket.sendto": _send,
    "socket.sendmsg": _send,
    "socket.getaddrinfo": _look_up,
    "socket.gethostbyname": _look_up,
    "socket.gethostbyaddr": _look_up,
}
