"""mlx_lm.server with its own defaults, made to run on a processor: `... FOLDER PORT`. Ends when killed.

Three changes, none of which touches what it caches: weights in fp32, because half precision fails or is imprecise off
Metal; our scan in chunks in place of its loop over tokens, or 32k tokens would take many minutes; prompts as token ids.
"""

import os
import sys
from typing import Any

import mlx.core as mx

os.environ["MLX_DISABLE_COMPILE"] = "1"  # else g++ runs for seconds per kernel

from mlx_lm import server

from inference.backends import mlx_scan


def main() -> None:
    folder, port = sys.argv[1:3]
    if not mx.metal.is_available():
        mlx_scan.install()
    _in_full_precision()
    _takes_ids()
    sys.argv = ["mlx_lm.server", "--model", folder, "--port", port, "--log-level", "INFO"]
    server.main()


def _in_full_precision() -> None:
    load = server.load

    def loaded(*arguments: Any, **options: Any) -> Any:
        model, *rest = load(*arguments, **options)
        if not mx.metal.is_available():
            model.set_dtype(mx.float32)
        return (model, *rest)

    server.load = loaded


def _takes_ids() -> None:
    tokenize = server.ResponseGenerator._tokenize

    def taking_ids(self: Any, tokenizer: Any, request: Any, args: Any) -> Any:
        if isinstance(request.prompt, list):
            return request.prompt, [request.prompt], ["assistant"], "normal", None
        return tokenize(self, tokenizer, request, args)

    server.ResponseGenerator._tokenize = taking_ids


if __name__ == "__main__":
    main()
