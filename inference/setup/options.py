"""What `python -m inference setup` takes. Imports nothing of it: every start of a daemon builds the parser."""

import argparse
from pathlib import Path


def add_options(added: argparse.ArgumentParser) -> None:
    added.add_argument("--model", metavar="MODEL[/VARIANT]|OWNER/NAME[/FILE.gguf]", help="this one, if it fits")
    added.add_argument("--engine", choices=("mlx", "llama"))
    added.add_argument("--ctx", type=int, metavar="TOKENS", help="a context that must fit")
    added.add_argument("--offline", type=Path, metavar="PATH", help="take files that are there; no network")
    added.add_argument("--endpoint", metavar="URL", help="another hub (default: HF_ENDPOINT, else huggingface.co)")
    added.add_argument("--also", action="append", default=[], metavar="HOST", help="a mirror may send on to it")
    added.add_argument("--catalogue", type=Path, metavar="FILE", help="instead of the one in the package")
    added.add_argument("--yes", action="store_true", help="do not ask")
