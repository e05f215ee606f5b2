"""llama-server from xllamacpp with its own defaults and one thread: `... FOLDER PORT`. Ends when killed.

The library's parameters default to one slot of its own rows; the program llama-server takes four that share one pool.
"""

import signal
import sys
from pathlib import Path

import xllamacpp

SLOTS = 4


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "model.gguf")
    params.port = port
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print("llama-server listens on", server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
