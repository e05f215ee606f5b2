"""What a server can do, and two completions by it: `python -m scripts.benches.remote_try URL [MODEL]`."""

import asyncio
import sys

from qwen_lsp.engine.abilities import FIM
from qwen_lsp.engine.client import Piece, RemoteEngine, Request
from qwen_lsp.prompt.segments import Control, Prompt, Text
from qwen_lsp.settings import Settings, overlay

PREFIX, SUFFIX, MIDDLE = map(Control, FIM)
PROMPT = Prompt(
    (PREFIX, SUFFIX, Text("\n\nprint(add(1, 2))\n"), MIDDLE, Text("def add(a, b):  # <|im_end|>\n    return a")),
    stop=("\n",),
    stop_controls=("<|endoftext|>",),
)


async def tried(settings: Settings) -> None:
    engine = RemoteEngine(settings)
    try:
        await engine.start()
        print(engine.state)
        print(engine.abilities)
        for _ in range(2):
            text = ""
            async for item in engine.generate(Request(PROMPT, 8, "typing")):
                if isinstance(item, Piece):
                    text += item.text
                else:
                    print(item)
            print(repr(text))
    finally:
        await engine.close()


def main() -> int:
    url, model = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    settings, problems = overlay(Settings(), {"engine": "openai", "remote": {"url": url, "model": model}}, "arguments")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2
    asyncio.run(tried(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
