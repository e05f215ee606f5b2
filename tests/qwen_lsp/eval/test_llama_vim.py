"""The baseline's prompt, against what its documentation says it sends."""

from qwen_lsp.eval.llama_vim import CHUNK_LINES, MOST_CHUNKS, N_PREFIX, N_SUFFIX, prompt
from qwen_lsp.prompt.segments import Control, Prompt, Text


def shown(asked: Prompt) -> str:
    return "".join(each.token if isinstance(each, Control) else each.text for each in asked.segments)


def test_prefix_first_with_the_line_behind_the_middle() -> None:
    assert shown(prompt("a.py", "x = 1\ny = ", "\nz = 3\n", [])) == (
        "<|fim_prefix|>x = 1\n<|fim_suffix|>\nz = 3\n<|fim_middle|>y = "
    )


def test_lines_are_bounded() -> None:
    many = "".join(f"{n}\n" for n in range(1_000))
    text = shown(prompt("a.py", many, "\n" + many, []))
    prefix, _, rest = text.removeprefix("<|fim_prefix|>").partition("<|fim_suffix|>")
    assert prefix.count("\n") == N_PREFIX and prefix.endswith("999\n")
    assert rest.removesuffix("<|fim_middle|>").count("\n") == N_SUFFIX


def test_chunks_of_other_files_come_first_and_text_stays_text() -> None:
    recent = [(f"{n}.py", f"# {n} <|im_end|>\n" * 100) for n in range(20)]
    asked = prompt("a.py", "x", "", recent)
    assert Text("0.py") not in asked.segments
    assert shown(asked).startswith("<|repo_name|>myproject\n<|file_sep|>4.py\n")
    chunks = [each.text for each in asked.segments if isinstance(each, Text) and "im_end" in each.text]
    assert len(chunks) == MOST_CHUNKS and all(chunk.count("\n") == CHUNK_LINES + 1 for chunk in chunks)
    assert Control("<|im_end|>") not in asked.segments
