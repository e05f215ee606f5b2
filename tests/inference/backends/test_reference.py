"""Both engines say what the slow path says: mlx-lm's model, called on the whole text anew for each token, no cache.

Its answers are in greedy.json. After the embedded weights change:
    UPDATE_GOLDEN=1 .venv/bin/pytest tests/inference/backends/test_reference.py
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from inference.backends.base import Backend
from inference.generation import GREEDY
from inference.tokenizer import from_folder
from tests.inference.weights import EMBEDDED

GOLDEN = Path(__file__).parent / "greedy.json"
N_TOKENS = 64
pytestmark = pytest.mark.timeout(1200)  # the slow path is slow: 45 s of CPU when the file is made anew
PROMPTS = (
    "def add(a, b):\n    return a",
    "import os\nimport sys\n\n\nclass Reader:\n    def __init__(self, path):\n        self.path = path\n",
    "for (let i = 0; i < n; i++) {\r\n\tconsole.log(`été ${i}`);\r\n",
    "<|im_start|>user\nWrite a test.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|fim_suffix|>    return total\n<|fim_prefix|>def mean(values):\n    total = <|fim_middle|>",
    "x",
)


def weights_digest() -> str:
    return hashlib.sha256((EMBEDDED / "model.safetensors").read_bytes()).hexdigest()


def oracle(model: Any, prompt: list[int]) -> list[int]:
    import mlx.core as mx

    tokens = list(prompt)
    for _ in range(N_TOKENS):
        best: Any = mx.argmax(model(mx.array([tokens]))[0, -1]).item()
        tokens.append(int(best))
    return tokens[len(prompt) :]


@pytest.fixture(scope="module")
def expected(mlx: Backend) -> list[list[int]]:
    """Depends on `mlx` so that the engine is imported with its environment set."""
    if os.environ.get("UPDATE_GOLDEN"):
        import mlx.core as mx
        from mlx_lm.utils import load_model

        model, _ = load_model(EMBEDDED)
        model.set_dtype(mx.float32)
        tokenizer = from_folder(EMBEDDED)
        answers = [oracle(model, tokenizer.encode(prompt, parse_special=True)) for prompt in PROMPTS]
        GOLDEN.write_text(json.dumps({"weights": weights_digest(), "answers": answers}) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert golden["weights"] == weights_digest(), f"the embedded weights changed: {(__doc__ or '').splitlines()[-1]}"
    answers_read: list[list[int]] = golden["answers"]
    return answers_read


@pytest.mark.parametrize("engine", ["mlx", "llama"])
@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_greedy_equals_the_reference(
    engine: str, number: int, expected: list[list[int]], request: pytest.FixtureRequest
) -> None:
    backend: Backend = request.getfixturevalue(engine)
    seq = backend.open()
    backend.evaluate(seq, backend.tokenizer.encode(PROMPTS[number], parse_special=True))
    said = []
    for _ in range(N_TOKENS):
        said.append(backend.sample(seq, backend.sampler(GREEDY)))
        backend.evaluate(seq, said[-1:])
    backend.close(seq)
    assert said == expected[number]
