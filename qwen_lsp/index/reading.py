"""One file's bytes and state, or why they do not count: no link is followed, no pipe waited for, nothing read without
end. Does not know which files a workspace has, nor its ignore files.
"""

import errno
import os
import stat
from dataclasses import dataclass

from qwen_lsp.index.rules import HUGE_BYTES, Reason, Skipped, bytes_rule

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# A pipe must not hold us up, nor text mode change bytes.
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file that counts by its name and kind, and what tells whether it has changed. `path` is below the root."""

    path: str
    size: int
    mtime_ns: int
    inode: int


def read(folder: bytes, path: str) -> tuple[bytes, FileStat] | Skipped:
    """The bytes of the file `path` below the absolute `folder` and its state then, or why they do not count."""
    try:
        descriptor = os.open(folder + os.fsencode(path), READ | NO_LINKS)
        try:
            state = regular(path, os.fstat(descriptor))
            if isinstance(state, Skipped):
                return state
            source = all_of(descriptor, HUGE_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason: Reason = "link" if error.errno == errno.ELOOP else "unreadable"
        return Skipped(path, reason, error.strerror or "open")
    rule = bytes_rule(source)
    return (source, state) if rule is None else Skipped(path, *rule)


def regular(path: str, status: os.stat_result) -> FileStat | Skipped:
    """The state of a file, or why what stands there is none that counts."""
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        return Skipped(path, "special", kind)
    if status.st_size > HUGE_BYTES:
        return Skipped(path, "huge", f"{status.st_size:,} bytes; the limit is {HUGE_BYTES:,}")
    # Windows gives inodes to some of the calls that we make, and not to others: none is used there.
    return FileStat(path, status.st_size, status.st_mtime_ns, 0 if os.name == "nt" else status.st_ino)


def all_of(descriptor: int, limit: int) -> bytes:
    """What is left to read, up to so many bytes."""
    parts = []
    while limit > 0 and (part := os.read(descriptor, limit)):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)
