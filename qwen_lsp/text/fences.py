"""Markdown code blocks around any text."""

import re


def fenced(text: str, language_id: str = "") -> str:
    """A Markdown code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = language_id if re.fullmatch(r"[\w.+-]{1,40}", language_id) else ""
    return f"{fence}{language}\n{text}\n{fence}"
