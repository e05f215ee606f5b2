"""`python -m qwen_lsp` is `qwen-lsp`."""

import sys

if sys.version_info < (3, 12):  # noqa: UP036  (said before anything is imported that such a Python can not read)
    sys.exit(f"qwen-lsp needs Python 3.12 or newer, and this is {sys.version.split()[0]}: run scripts/install")

from qwen_lsp.cli import main

sys.exit(main())
