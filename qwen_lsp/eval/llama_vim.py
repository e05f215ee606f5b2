"""What llama.vim asks llama-server with its defaults, as a prompt of ours: the baseline of every comparison. Pure.

Read off ggml-org/llama.vim's `autoload/llama.vim` of January 2026 and llama-server's `/infill`: 256 lines before the
cursor's and 64 after it, prefix first, the cursor's own line begun behind `<|fim_middle|>`; before them up to 16 chunks
of 32 lines around where the cursor was in other files, in the repository form. No index, no log of edits. Their ring
also picks chunks at random as one moves about; here it holds what the files opened before show first.
"""

from collections.abc import Sequence

from qwen_lsp.prompt.layouts.fim import FILE, MIDDLE, PREFIX, REPO, STOP_CONTROLS, SUFFIX
from qwen_lsp.prompt.segments import Prompt, Segment, Text

N_PREFIX, N_SUFFIX = 256, 64  # lines
MOST_CHUNKS, CHUNK_LINES = 16, 32
REPOSITORY = "myproject"  # what /infill calls every one


def prompt(path: str, before: str, after: str, recent: Sequence[tuple[str, str]]) -> Prompt:
    """At a cursor in `path`. `recent`: path and text of the files opened or edited before, the oldest first."""
    above, _, line = before.rpartition("\n")
    prefix = "\n".join([*above.split("\n")[-N_PREFIX:], ""])
    rest, _, below = after.partition("\n")
    suffix = "\n".join([rest, *below.split("\n")[:N_SUFFIX]])
    segments: list[Segment] = [REPO, Text(f"{REPOSITORY}\n")] if recent else []
    for name, text in recent[-MOST_CHUNKS:]:
        segments += [FILE, Text(name + "\n" + "\n".join(text.split("\n")[:CHUNK_LINES]) + "\n")]
    segments += [FILE, Text(f"{path}\n")] if recent else []
    segments += [PREFIX, Text(prefix), SUFFIX, Text(suffix), MIDDLE]
    return Prompt((*segments, Text(line)) if line else tuple(segments), stop_controls=STOP_CONTROLS)
