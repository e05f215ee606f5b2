"""The options of `qwen-lsp eval`. Imports nothing heavy: every command's parser is built from here."""

import argparse
from pathlib import Path

from qwen_lsp.settings import LAYOUTS

KINDS = ("line", "lines", "block", "hunk")  # as in `holes`


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a person can choose."""
    parser.add_argument("folder", nargs="?", type=Path, metavar="REPO", default=Path(), help="instead of this one")
    parser.add_argument("--engine", help="mlx, llama or openai; default: as in the settings")
    parser.add_argument("--model", metavar="NAME", help="a name, a folder or a .gguf; of a server, its own name")
    parser.add_argument("--url", help="of the server, with --engine openai")
    parser.add_argument("--layouts", default="", metavar="A,B", help=f"to compare, of {', '.join(LAYOUTS)}")
    parser.add_argument("--context", default="0,2048", metavar="N,M", help="tokens of other files (default: 0,2048)")
    parser.add_argument("--log", choices=("on", "off", "both"), default="on", help="earlier edits in the prompt")
    parser.add_argument(
        "--baseline", action="store_true", help="also ask what llama.vim sends, of llama-server where it is installed"
    )
    parser.add_argument("--kinds", default=",".join(KINDS), metavar="A,B", help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--holes", type=int, default=40, metavar="N", help="of each kind (default: 40); 0: only refactors"
    )
    parser.add_argument("--since", default="", metavar="DATE", help="only commits after it")
    parser.add_argument(
        "--released", metavar="DATE", help="when the model came out, if the catalogue does not know: newer holes apart"
    )
    parser.add_argument(
        "--keys", type=int, default=200, metavar="N", help="of typing to replay (default: 200; 0: none)"
    )
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="what differs from an earlier run of the same holes"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: eval-NAME here; a stopped run goes on")
    parser.add_argument("--write-settings", action="store_true", help="set what is surely better in your settings file")
    parser.add_argument(
        "--tests", nargs="?", const="", metavar="CMD", help="the repository's own tests judge, too; in trusted folders"
    )
    parser.add_argument(
        "--refactors",
        type=int,
        default=0,
        metavar="N",
        help="also ask N mechanical refactors of Python code; only those with --holes 0",
    )
