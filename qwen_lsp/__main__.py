"""`python -m qwen_lsp` is `qwen-lsp`."""

import sys

from qwen_lsp.cli import main

sys.exit(main())
