"""A guard on this package's sockets: the daemon talks to nobody, programs of this machine's own user aside.

An audit hook sees every connection and every look-up of a name that Python code makes, in any library: all but unix
sockets is refused with an error, and the log names the place. It can not be taken off again, and does not see sockets
that foreign code opens without Python. `inference setup`, a process of its own, names the hosts it fetches from.
"""

import logging
import socket
import sys

log = logging.getLogger(__name__)

_CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_is_on: list[bool] = []
_hosts: set[str] = set()
_addresses: set[str] = set()
_resolving: set[str] = set()


class Egress(PermissionError):
    """Somebody tried to reach another machine."""


def guard() -> None:
    """From now on, for good. Safe to call often."""
    if not _is_on:
        _is_on.append(True)
        sys.addaudithook(_hook)


def allow(host: str) -> None:
    """One more machine that may be talked to: whoever calls this has shown its name to the user."""
    _hosts.add(host.lower())


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in _CONNECTS:
        family, address = getattr(arguments[0], "family", None), arguments[1]
        if address is None or family == getattr(socket, "AF_UNIX", None):
            return
        host = str(address[0]).lower() if isinstance(address, tuple) and address else "?"
        if host not in _addresses and host not in _hosts:
            _refuse(f"a connection to {host}")
    elif event in _LOOK_UPS and arguments[0]:
        host = arguments[0].decode("ascii", "replace") if isinstance(arguments[0], bytes) else str(arguments[0])
        if host.lower() not in _hosts:
            _refuse("a look-up of a name")
        _resolve(host.lower())


def _resolve(host: str) -> None:
    """Remember what an allowed name stands for. Asked under the same name, so the hook is entered once more."""
    if host in _resolving:
        return
    _resolving.add(host)
    try:
        _addresses.update(str(at[0]).lower() for *_, at in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except OSError:
        pass  # the caller's own look-up says so
    finally:
        _resolving.discard(host)


def _refuse(what: str) -> None:
    log.error("egress refused: %s", what)
    raise Egress(1, f"refused by the egress guard: {what}")
