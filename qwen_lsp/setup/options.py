"""What `qwen-lsp setup` takes. Imports nothing of it: every start of a server builds the parser."""

import argparse


def add_options(added: argparse.ArgumentParser) -> None:
    """All but --json are the other package's, which checks them."""
    added.add_argument(
        "--model", metavar="MODEL[/VARIANT]|OWNER/NAME[/FILE.gguf]", help="of the catalogue or of the hub, if it fits"
    )
    added.add_argument("--engine", choices=("mlx", "llama"))
    added.add_argument("--ctx", type=int, metavar="TOKENS", help="a context that must fit")
    added.add_argument("--offline", metavar="PATH", help="take files that are there; no network")
    added.add_argument("--endpoint", metavar="URL", help="another hub (default: HF_ENDPOINT, else huggingface.co)")
    added.add_argument("--also", action="append", default=[], metavar="HOST", help="a mirror may send on to it")
    added.add_argument("--catalogue", metavar="FILE", help="instead of the one in the package")
    added.add_argument("--yes", action="store_true", help="do not ask")
