"""Text in Markdown that is shown to people: code blocks around any text, and answers that can only be read."""

import re


def fenced(text: str, language_id: str = "") -> str:
    """A Markdown code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = language_id if re.fullmatch(r"[\w.+-]{1,40}", language_id) else ""
    return f"{fence}{language}\n{text}\n{fence}"


def inert(markdown: str) -> str:
    """Markdown of which a viewer fetches nothing: no image, no tag. A model that read a stranger's repository wrote it.

    What would begin one gets a character that is not seen. Code blocks stay as they are; where one begins and ends is
    judged so narrowly that no viewer sees text where a block is seen here.
    """
    fence, lines = "", []
    for line in re.split("\r\n|\n|\r", markdown):
        found = _FENCE.fullmatch(line)
        if fence:
            if found and found["row"].startswith(fence) and not found["info"].strip(" \t"):
                fence = ""
        elif found and not (found["row"][0] == "`" and "`" in found["info"]):
            fence = found["row"]
        else:
            line = _BEGINS.sub(_UNSEEN, line)
        lines.append(line)
    text = "\n".join(lines)
    return "\n" + text if text.startswith("---") else text  # some viewers take what follows for settings


_UNSEEN = "\u2060"
_FENCE = re.compile(r" {0,3}(?P<row>`{3,}|~{3,})(?P<info>.*)")
# An image, a tag, a formula: the last may hold a fence, and end where a fence is none.
_BEGINS = re.compile(r"(?<=!)(?=\[)|(?<=<)(?=[a-zA-Z/!?])|(?<=\$)(?=\$)")
