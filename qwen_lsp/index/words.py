"""The words of a text: also those in comments and strings, also keywords and numbers. Pure.

None of them is made here one by one: what stands between them becomes line ends, and who wants them splits there. The
full-text table does that in C, a tenth of what it costs in Python.
"""

import re

MAX_WORD_CHARS = 128  # what is longer is data: nobody types it
_APART = bytes(code if code >= 0x80 or chr(code).isalnum() or code == ord("_") else ord("\n") for code in range(0x100))
_ASCII = bytes(range(0x80))
_SIGN = re.compile(r"[^\w\x00-\x7f]")  # dashes, quotes and signs of other scripts
MOST_SIGNS = 20  # distinct ones that are replaced one by one, which is quick; tables of symbols have thousands
_IN_WORD = bytes(code != ord("\n") for code in range(0x100))
_TOO_LONG = b"\1" * (MAX_WORD_CHARS + 1)


def apart(data: bytes) -> bytes:
    """A text in UTF-8 without what stands between its words: they are told apart by line ends, one or more."""
    words = _without_signs(data).translate(_APART)
    if _TOO_LONG in words.translate(_IN_WORD):
        return "\n".join(word for word in words.decode().split("\n") if len(word) <= MAX_WORD_CHARS).encode()
    return words


def words_of(data: bytes) -> frozenset[str]:
    """The words themselves, each once."""
    return frozenset(apart(data).decode().split())


def _without_signs(data: bytes) -> bytes:
    if data.isascii():
        return data
    signs = set(_SIGN.findall(data.translate(None, _ASCII).decode()))
    if len(signs) > MOST_SIGNS:
        return _SIGN.sub("\n", data.decode()).encode()
    for sign in signs:
        data = data.replace(sign.encode(), b"\n")
    return data
