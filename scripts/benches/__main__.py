"""`scripts/bench SUBJECT [OPTIONS]`: one measurement. Each subject is a module of this folder that has `main`."""

import importlib
import sys
from collections.abc import Sequence

SUBJECTS = {
    "inference": "the daemon against llama-server and mlx_lm.server: tokens, first token, CPU, decoding of edits",
    "passes": "what a pass of llama.cpp costs by its size, and what drafting makes of it",
    "exactness": "random edit scripts: greedy answers equal with everything on and with nothing on",
    "typing": "typing replayed from git history through the whole server, against llama.vim on llama-server",
    "soak": "many clients for minutes: memory, answers, errors",
    "index": "cold, warm and saved files against a plain parse of the same files",
    "refactor": "edits of a model that knows the answer: all must apply; of a hostile one: none may",
    "hub": "a model fetched from a hub of our own with every fault: what it costs, and what stands in its place",
    "idle": "what the server and VS Code's extension cost while nobody types, in the real editors",
    "retrieval": "does the packed context hold the definitions of what a masked line uses?",
}


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 measured, 1 a check failed, 2 wrong usage. Goals that are missed do not fail a run."""
    if not arguments or arguments[0] not in SUBJECTS:
        print("usage: scripts/bench SUBJECT [OPTIONS]   (--help after a subject)", file=sys.stderr)
        for name, text in SUBJECTS.items():
            print(f"  {name:10} {text}", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"scripts.benches.{arguments[0]}").main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
