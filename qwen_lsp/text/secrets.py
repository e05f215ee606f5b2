"""Credentials in a text, and the text without them: what every prompt, index and request is made of. Pure.

`masked` puts a star for each character of what looks like a credential and leaves all else alone, line ends included:
offsets, lines and columns of the two texts are the same. Three kinds are known: tokens that say what they are by how
they begin (`TOKENS`), the bodies of private keys, and values that something named `password`, `token` or the like is
set to. The last is a guess by look: a weak password that is a plain word, or one with spaces, is not found.

Where in doubt it masks, since a star too many costs a suggestion and one too few a key. What a whole file may not
show is another question: `index/rules.py`. Cut a text after it was masked, never before: a half token looks like none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from qwen_lsp.text.common import common_head, common_tail

STAR = "*"

_SK = r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"  # and no class of a style sheet

# What issuers put before their tokens so that scanners find them, and how much must follow. Each is looked for at the
# start of a word only.
TOKENS: tuple[tuple[str, str], ...] = (
    ("AWS", r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}"),
    ("GitHub", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
    (
        "GitLab",
        r"gl(?:pat|[dpfrw]t|rtr|cbt|ptt|imt|agent|oas|soat|ffct)-[A-Za-z0-9_-]{12,}|GR1348941[A-Za-z0-9_-]{18,}",
    ),
    ("Slack", r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    ("JWT", r"eyJ[A-Za-z0-9_-]{13,}"),
    ("OpenAI, Anthropic, Stripe", _SK + r"|[spr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_\w{16,}"),
    ("Google", r"AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|GOCSPX-[A-Za-z0-9_-]{16,}"),
    ("Hugging Face, npm, PyPI", r"(?:hf|npm)_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{16,}"),
    ("SendGrid", r"SG\.[A-Za-z0-9_-]{16,}"),
    ("DigitalOcean, Docker", r"do[opr]_v1_[a-f0-9]{32,}|dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}"),
    ("HashiCorp", r"hv[sbr]\.[A-Za-z0-9_-]{16,}|atlasv1\.[A-Za-z0-9_-]{16,}"),
    ("Shopify, Databricks, Atlassian", r"shp[a-z]{2}_[a-fA-F0-9]{16,}|dapi[a-f0-9]{32}|ATATT[A-Za-z0-9_=-]{20,}"),
    ("age", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
)
_TOKEN = re.compile(b"(?<![A-Za-z0-9])(?:" + b"|".join(pattern.encode() for _, pattern in TOKENS) + b")")

# A token that begins before a run of them does so before one of these.
_JOINTS = (b".", b"=")
_HEAD_BYTES = 8  # of a token before such a run, at most

# Every token has so many of these in a row: only there is looked closer, which is what makes this quick.
_RUN = b"\1" * 16
_IN_RUN = bytes(chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_-") for code in range(256))
_LOWER = bytes(code + 32 if 65 <= code <= 90 else code for code in range(256))
_JOINING = frozenset(b"+/=.~")  # what a value may have beside letters, digits, `_` and `-`

_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(
    rb"[^\w+/=\r\n]*(?:[A-Za-z0-9+/=]+|[A-Za-z-]+: [^\r\n]*)?(?:\\[nr])*[^\w+/=\r\n]*(?:\r\n?|\n|\Z)"
)
_TO_LINE_END = re.compile(rb"[^\r\n]*(?:\r\n?|\n)?")
_KEY_TEXT = re.compile(rb"[A-Za-z0-9+/=]+")

# A name that holds a credential, whatever its kind; before a value that looks like chance.
_NAMED = re.compile(
    rb"(?:key|token|auth\w*|secret|cred\w*|bearer|basic|pass\w*|pwd|signature|salt|session\w*|cookie|private|dsn)"
    rb"[\w.-]{0,20}[\"'`\]>)]{0,3}[ \t]{0,8}(?::[ \t]*[\w\[\]|.]{1,24}[ \t]*=|:=|=>|={1,3}|[:,(]|)[ \t]{0,8}[\"'`]?\Z",
    re.IGNORECASE,
)
_NAMED_BYTES = 96  # before the value, on its line
_REST = re.compile(rb"[\w=.~+/-]*")
_VALUE = re.compile(rb"[\w+/=.~-]+")
_IN_VALUE = bytes(code for code in range(0x80) if chr(code).isalnum() or chr(code) in "_+/.~-")  # not behind a =

# A name of a password, before a value that need not look like chance.
_PASSWORDS = (b"passw", b"passphrase", b"pwd", b"secret")
_PASSWORD = re.compile(
    rb"(?:password|passwd|passw|passphrase|pwd|secret)s?(?P<rest>[\w-]{0,24})[\"'`\]]{0,2}[ \t]{0,8}"
    rb"(?P<sign>(?::[ \t]*[\w\[\]|. ]{1,24}=|:=|=>|={1,3}|[:,(>])[ \t]{0,8})"
    rb"(?:(?P<quote>[\"'`])(?P<quoted>(?:(?!(?P=quote))[^\s\\]|\\\S){4,})(?P=quote)"
    rb"|(?P<bare>[^\s\"'`<>(),;{}\[\]]{4,})(?![\w(\[.])(?P<last>[ \t]*(?:[\r\n]|\Z|</))?)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(rb"\$?\{.*|<.*>|%[\w(].*|\$\w+|[xX*.#-]+|your.*|.*change.?me.*|.*example.*", re.IGNORECASE)
_STARS = re.compile(r"\*{3,}")
_DIGIT = re.compile(rb"[0-9]")
_MIXED = re.compile(rb"[0-9][A-Za-z]|[A-Za-z][0-9]")
_CHUNK = re.compile(rb"[A-Za-z0-9]+")
_NUMBER = re.compile(rb"[0-9]+")
_DIGITS = b"0123456789"
_LINE_END = re.compile("[\r\n]")
_URL_PASSWORD = re.compile(rb"://[^\s/:@\"'`<>]{0,64}:(?P<value>[^\s/@\"'`<>${}]{3,})@")


def masked(text: str) -> str:
    """`text`, of the same length, with a star for each character of a credential; itself where there is none."""
    data = text.encode("utf-8", "surrogatepass")
    shown = masked_bytes(data)
    return text if shown is data else shown.decode("utf-8", "surrogatepass")


def masked_bytes(data: bytes) -> bytes:
    """The same of a text's bytes."""
    shown = _masked_once(data)
    while shown != data:
        data, lines = shown, _beside_stars(shown)
        shown = _masked_once(data) if _masked_once(lines) != lines else data
    return data


def _masked_once(data: bytes) -> bytes:
    pieces, done = [], 0
    for start, end in sorted(_spans(data)):
        if end > done:
            start = max(start, done)
            hidden = data[start:end].decode("utf-8", "surrogatepass")
            pieces += [data[done:start], STAR.encode() * len(hidden)]
            done = end
    return b"".join((*pieces, data[done:]))


def _beside_stars(data: bytes) -> bytes:
    """Stars can make what stands beside them look like a credential, on their line if it is no key."""
    if b"-----BEGIN " in data:
        return data
    star, lines, end = STAR.encode(), [], 0
    while (at := data.find(star, end)) >= 0:
        start = max(end, data.rfind(b"\n", end, at) + 1)
        end = data.find(b"\n", at) + 1 or len(data)
        lines.append(data[start:end])
    return b"".join(lines)


def masked_since(text: str, before: str, before_masked: str) -> str:
    """`masked(text)`, from what that made of an earlier version: all but the keys is found line by line."""
    if "-----BEGIN " in text or "-----BEGIN " in before:
        return masked(text)
    head = common_head(before, text)
    tail = common_tail(before, text, min(len(before), len(text)) - head)
    start = max(text.rfind("\n", 0, head), text.rfind("\r", 0, head)) + 1
    line_end = _LINE_END.search(text, len(text) - tail)
    end = line_end.start() if line_end is not None else len(text)
    old_end = len(before) - (len(text) - end)
    if before_masked is before and (middle := text[start:end]) == masked(middle):
        return text
    return before_masked[:start] + masked(text[start:end]) + before_masked[old_end:]


def restored(answer: str, text: str) -> str:
    """`answer`, made from `masked(text)`, with what the text has where the answer repeats its stars.

    A row of stars is one of the text's if it is as long and stands between the same characters.
    """
    shown = masked(text)
    if shown is text:
        return answer
    places = {_between(shown, found): found.span() for found in _STARS.finditer(shown)}
    known = {key: text[start:end] for key, (start, end) in places.items() if text[start:end] != shown[start:end]}
    return _STARS.sub(lambda found: known.get(_between(answer, found), found.group()), answer)


def _between(text: str, stars: re.Match[str]) -> tuple[str, int, str]:
    start, end = stars.span()
    return text[max(0, start - 4) : start], end - start, text[end : end + 1]


type _Spans = Iterator[tuple[int, int]]


def _spans(data: bytes) -> _Spans:
    """Where credentials stand, in bytes; in no order, and they may overlap. No span holds a white space."""
    yield from _keys(data)
    yield from _runs(data)
    yield from _passwords(data)
    yield from _urls(data)


def _urls(data: bytes) -> _Spans:
    at = data.find(b"://")
    while at >= 0:
        if found := _URL_PASSWORD.match(data, at):
            yield found.span("value")
        at = data.find(b"://", at + 3)


def _keys(data: bytes) -> _Spans:
    """The bodies of private keys, also of those that are cut off: from the mark on, as long as lines look like one."""
    at = data.find(b"-----BEGIN ")
    while at >= 0:
        if mark := _BEGIN.match(data, at):
            rest = _TO_LINE_END.match(data, mark.end())
            end = rest.end() if rest is not None else mark.end()
            close = data.find(b"-----END", mark.end(), end)
            yield from _words(data, mark.end(), end if close < 0 else close)
            while close < 0 and end < len(data) and (line := _KEY_LINE.match(data, end)):
                yield from _words(data, *line.span())
                end = line.end()
        at = data.find(b"-----BEGIN ", at + 1)


def _words(data: bytes, start: int, end: int) -> _Spans:
    for found in _KEY_TEXT.finditer(data, start, end):
        yield found.span()


def _runs(data: bytes) -> _Spans:
    """Tokens that say what they are, and values like chance behind a name that tells."""
    places = _places_of_runs(data)
    heads = (at for starts in places.values() for at in starts if data[at - 1 : at] in _JOINTS)
    joined = [data[max(0, at - _HEAD_BYTES) : at + len(_RUN)] for at in heads]
    if _TOKEN.search(b"\n".join((*places, *joined))):  # each run once: names stand in a file again and again
        yield from _tokens(data, places)
    for run, starts in places.items():
        if not _DIGIT.search(run):
            continue
        is_alone = _like_chance(run)
        for at in starts:
            if is_alone or not _JOINING.isdisjoint(data[at - 1 : at] + data[at + len(run) : at + len(run) + 1]):
                yield from _named(data, at)


def _places_of_runs(data: bytes) -> Mapping[bytes, Sequence[int]]:
    """Each long run, and where it begins."""
    classes = data.translate(_IN_RUN)
    places: dict[bytes, list[int]] = {}
    at = classes.find(_RUN)
    while at >= 0:
        end = classes.find(b"\0", at)
        end = len(data) if end < 0 else end
        places.setdefault(data[at:end], []).append(at)
        at = classes.find(_RUN, end)
    return places


def _tokens(data: bytes, places: Mapping[bytes, Sequence[int]]) -> _Spans:
    for run, starts in places.items():
        for at in starts:
            if found := _TOKEN.search(data, max(0, at - _HEAD_BYTES), at + len(run)):
                rest = _REST.match(data, found.end())  # where it goes on behind a dot, so does the span
                yield found.start(), rest.end() if rest is not None else found.end()


def _named(data: bytes, at: int) -> _Spans:
    """The value around `at`, if it looks like chance and a name before it says that it is a credential."""
    first = max(0, at - _NAMED_BYTES)
    line = max(data.rfind(b"\n", first, at) + 1, data.rfind(b"\r", first, at) + 1, first)
    start = at
    if at and (_IN_RUN[data[at - 1]] or data[at - 1] in _JOINING):
        start = line + len(data[line:at].rstrip(_IN_VALUE))
    if start == line:
        return  # nothing names it; nor do we look at each run of a picture in base64
    value = _VALUE.match(data, start) if _NAMED.search(data, line, start) else None
    if value is not None and _like_chance(value.group()):  # of a picture in base64 that takes long
        yield value.span()


def _like_chance(value: bytes) -> bool:
    """Whether letters and digits are mixed as no one who names things mixes them."""
    if not _MIXED.search(value):
        return False
    lengths, n_numbers = [], 0
    for chunk in _CHUNK.findall(value):
        if 1 < len(chunk) - len(chunk.translate(None, _DIGITS)) < len(chunk):
            lengths.append(len(chunk))
            n_numbers += len(_NUMBER.findall(chunk))
    return n_numbers > 1 and (sum(lengths) >= 16 or max(lengths) >= 12)


def _passwords(data: bytes) -> _Spans:
    lower = data.translate(_LOWER)
    for name in _PASSWORDS:
        at = lower.find(name)
        while at >= 0:
            if found := _PASSWORD.match(data, at):
                group = "quoted" if found["quoted"] is not None else "bare"
                # Without quotes it is either a setting or a name of the program's, which is written with spaces.
                is_literal = group == "quoted" or (found["last"] is not None and found["sign"] in (b"=", b": ", b">"))
                if _like_password(found[group], is_literal=is_literal, is_sure=not found["rest"]):
                    yield found.span(group)
            at = lower.find(name, at + len(name))


def _like_password(value: bytes, *, is_literal: bool, is_sure: bool) -> bool:
    """Whether it is more than a word. `is_sure`: the name before it is a password's, and not `password_something`."""
    if _PLACEHOLDER.fullmatch(value):
        return False
    digits = sum(48 <= code <= 57 for code in value)
    letters = sum(65 <= code <= 90 or 97 <= code <= 122 for code in value)
    signs = len(value) - digits - letters - sum(value.count(sign) for sign in (b"_", b"-", b".", b"/", b":"))
    if not is_literal:
        return letters > 1 and (signs > 1 or (digits > 1 and (signs > 0 or _like_chance(value))))
    return letters > 0 and (digits > 1 or (is_sure and digits + signs > 0))
