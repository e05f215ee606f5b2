"""What llama.vim asks llama-server with its defaults: the baseline of every comparison. Pure.

Read off ggml-org/llama.vim's `autoload/llama.vim` of January 2026 and llama-server's `/infill`: 256 lines before the
cursor's and 64 after it, prefix first, the cursor's own line begun behind `<|fim_middle|>`; before them up to 16 chunks
of 32 lines around where the cursor was in other files, in the repository form. No index, no log of edits. Their ring
also picks chunks at random as one moves about; here it holds what the files opened before show first.

`body` is the request as they send it. Two things differ, in its favour or for the sake of the comparison: the likeliest
token is taken, as everywhere here (`top_k` 1 instead of 40), and there are no time limits (theirs: 0.5 s for the
prompt, 1 s for the answer). `prompt` is the same as a prompt of ours, for where there is no llama-server.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qwen_lsp.prompt.layouts.fim import FILE, MIDDLE, PREFIX, REPO, STOP_CONTROLS, SUFFIX
from qwen_lsp.prompt.segments import Prompt, Segment, Text
from qwen_lsp.text.secrets import masked

N_PREFIX, N_SUFFIX = 256, 64  # lines
MOST_CHUNKS, CHUNK_LINES = 16, 32
N_PREDICT = 128
REPOSITORY = "myproject"  # what /infill calls every one


type Local = tuple[str, str, str]  # prefix, the cursor's line up to it, suffix
type Chunk = tuple[str, str]  # file, text


def local(before: str, after: str, *, empties_blank: bool = False) -> Local:
    """What stands around the cursor. `empties_blank`: a line of white space counts as an empty one, as they have it;
    their answers begin with its indentation then."""
    above, _, line = before.rpartition("\n")
    rest, _, below = after.partition("\n")
    if empties_blank and not (line + rest).strip():
        line = rest = ""
    prefix = "\n".join([*above.split("\n")[-N_PREFIX:], ""])
    return prefix, line, "\n".join([rest, *below.split("\n")[:N_SUFFIX]]) + "\n"


def request(place: Local, chunks: Sequence[Chunk], more: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON for `/infill`. `more`: how the answer is drawn, and its limits."""
    prefix, line, suffix = map(masked, place)
    extra = [{"filename": name, "text": masked(chunk), "time": 0} for name, chunk in chunks]
    asked = {"input_prefix": prefix, "input_suffix": suffix, "input_extra": extra, "prompt": line}
    return {**asked, "n_predict": N_PREDICT, "stop": [], "stream": False, "cache_prompt": True, **more}


def prompt(path: str, before: str, after: str, recent: Sequence[Chunk]) -> Prompt:
    """At a cursor in `path`. `recent`: path and text of the files opened or edited before, the oldest first."""
    prefix, line, suffix = local(before, after)
    segments: list[Segment] = [REPO, Text(f"{REPOSITORY}\n")] if recent else []
    for name, chunk in _chunks(recent):
        segments += [FILE, Text(f"{name}\n{chunk}")]
    segments += [FILE, Text(f"{path}\n")] if recent else []
    segments += [PREFIX, Text(prefix), SUFFIX, Text(suffix), MIDDLE]
    return Prompt((*segments, Text(line)) if line else tuple(segments), stop_controls=STOP_CONTROLS)


def body(before: str, after: str, recent: Sequence[Chunk], seed: int) -> dict[str, Any]:
    """The request at a cursor whose likeliest answer is wanted."""
    place = local(before, after)
    n_indent = len(place[1]) - len(place[1].lstrip())
    drawn = {"top_k": 1, "top_p": 0.99, "samplers": ["top_k", "top_p", "infill"], "seed": seed, "n_indent": n_indent}
    return request(place, _chunks(recent), drawn)


def _chunks(recent: Sequence[Chunk]) -> list[Chunk]:
    return [(name, "\n".join(text.split("\n")[:CHUNK_LINES]) + "\n") for name, text in recent[-MOST_CHUNKS:]]
