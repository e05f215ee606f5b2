"""The baseline's prompt, against what its documentation says it sends."""

from qwen_lsp.eval.llama_vim import CHUNK_LINES, MOST_CHUNKS, N_PREFIX, N_SUFFIX, body, local, prompt, request
from qwen_lsp.prompt.segments import Control, Prompt, Text


def shown(asked: Prompt) -> str:
    return "".join(each.token if isinstance(each, Control) else each.text for each in asked.segments)


def test_prefix_first_with_the_line_behind_the_middle() -> None:
    assert shown(prompt("a.py", "x = 1\ny = ", "\nz = 3\n", [])) == (
        "<|fim_prefix|>x = 1\n<|fim_suffix|>\nz = 3\n\n<|fim_middle|>y = "
    )


def test_lines_are_bounded() -> None:
    many = "".join(f"{n}\n" for n in range(1_000))
    text = shown(prompt("a.py", many, "\n" + many, []))
    prefix, _, rest = text.removeprefix("<|fim_prefix|>").partition("<|fim_suffix|>")
    assert prefix.count("\n") == N_PREFIX and prefix.endswith("999\n")
    assert rest.removesuffix("<|fim_middle|>").count("\n") == N_SUFFIX + 1


def test_chunks_of_other_files_come_first_and_text_stays_text() -> None:
    recent = [(f"{n}.py", f"# {n} <|im_end|>\n" * 100) for n in range(20)]
    asked = prompt("a.py", "x", "", recent)
    assert Text("0.py") not in asked.segments
    assert shown(asked).startswith("<|repo_name|>myproject\n<|file_sep|>4.py\n")
    chunks = [each.text for each in asked.segments if isinstance(each, Text) and "im_end" in each.text]
    assert len(chunks) == MOST_CHUNKS and all(chunk.count("\n") == CHUNK_LINES + 1 for chunk in chunks)
    assert Control("<|im_end|>") not in asked.segments


def test_a_line_of_white_space_is_an_empty_one_where_they_have_it_so() -> None:
    assert local("if x:\n    ", "  \nz\n", empties_blank=True) == ("if x:\n", "", "\nz\n\n")
    assert local("if x:\n    ", "\n") == ("if x:\n", "    ", "\n\n")
    assert local("if x:\n    y", "\n", empties_blank=True)[1] == "    y"


def test_both_comparisons_send_one_request() -> None:
    asked = body("import os\n    x", "\n", [("b.py", "y\n")], 7)
    typed = request(local("import os\n    x", "\n"), [("b.py", "y\n\n")], {"id_slot": 0, "n_predict": 0})
    assert {name: asked[name] for name in ("input_prefix", "input_suffix", "prompt", "input_extra")} == {
        name: typed[name] for name in ("input_prefix", "input_suffix", "prompt", "input_extra")
    }
    assert asked["n_indent"] == 4 and asked["n_predict"] > 0 == typed["n_predict"]
