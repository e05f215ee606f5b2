"""The story: open, type, see, accept, edit another file, ask from a second window, run a code action.

Everything goes through the real server over stdio and the real daemon. Prints a timeline that a person can read, or
JSON with the same steps.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lsprotocol import types as t

from qwen_lsp.demo.editor import Editor, EditorError
from qwen_lsp.demo.story import Hole, Source, copy_folder, hole, sources, stub_line

SAMPLE = Path(__file__).parent / "sample"
NOTE = "\n\ndef delivered(order, stock):\n    return order.total(stock)\n"
OTHER_NOTE = "\n// total: the sum of all prices\n"
SHOWN_CHARS = 76

EngineName = Literal["auto", "mlx", "llama"]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. Times in milliseconds, counts in tokens; None where the model was not asked."""

    at_s: float
    who: str
    asked: str
    answer: str
    ms: float | None = None
    engine_ms: float | None = None
    evaluated: int | None = None
    reused: int | None = None


@dataclass(slots=True)
class Timeline:
    """Collects the steps, and prints each at once unless it is for a program."""

    quiet: bool
    steps: list[Step] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    def add(self, who: str, asked: str, answer: str, **measured: Any) -> None:
        step = Step(round(time.perf_counter() - self.begun, 3), who, asked, answer, **measured)
        self.steps.append(step)
        if not self.quiet:
            print(f"{step.at_s:7.2f} s  {who:<9} {asked}")
            print(f"{'':21}-> {answer}{_figures(step)}", flush=True)

    async def ask[T](self, question: Awaitable[T]) -> tuple[T, float]:
        """The answer and the milliseconds that it took."""
        begun = time.perf_counter()
        answer = await question
        return answer, (time.perf_counter() - begun) * 1000


def _figures(step: Step) -> str:
    if step.ms is None:
        return ""
    model = "" if step.evaluated is None else f", {step.evaluated} tokens evaluated, {step.reused} reused"
    return f"   [{step.ms:.0f} ms{model}]"


def run(folder: Path | None, engine: EngineName, as_json: bool) -> int:
    """Play the story on a copy of `folder`. Returns the exit code."""
    folder = folder or SAMPLE
    if not folder.is_dir():
        print(f"qwen-lsp demo: {folder} is not a folder", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="qwen-lsp-demo-") as scratch:
        copy = Path(scratch).resolve() / (folder.resolve().name or "workspace")
        copy.mkdir()
        timeline = Timeline(quiet=as_json)
        copied, left_out = copy_folder(folder, copy)
        chosen = sources(copy)
        if not chosen:
            print(f"qwen-lsp demo: {folder} holds no source file that the story can be played in", file=sys.stderr)
            return 1
        timeline.add("demo", f"copies {folder}", f"{copied} files, {left_out} left out, {len(chosen)} to choose from")
        try:
            asyncio.run(_play(copy, chosen, engine, timeline))
        except (EditorError, OSError) as error:
            print(f"qwen-lsp demo: {error}", file=sys.stderr)
            return 1
    if as_json:
        print(json.dumps({"engine": engine, "steps": [asdict(step) for step in timeline.steps]}, indent=1))
    else:
        _print_sum(timeline)
    return 0


def _print_sum(timeline: Timeline) -> None:
    asked = [step for step in timeline.steps if step.evaluated is not None]
    evaluated = sum(step.evaluated or 0 for step in asked)
    reused = sum(step.reused or 0 for step in asked)
    print(f"\n{len(asked)} questions to the model: {evaluated} tokens evaluated, {reused} reused.")
    print("The embedded model is a demonstrator of a few million parameters: judge the path, not its taste.")


async def _play(root: Path, chosen: list[Source], engine: EngineName, timeline: Timeline) -> None:
    one = Editor(root, "utf-16", ghost_text=True, engine=engine)
    two = Editor(root, "utf-8", ghost_text=False, engine=engine)
    first, second = chosen[0], chosen[1 % len(chosen)]
    await _open_window(timeline, "window 1", one)
    try:
        uri = _open_file(timeline, "window 1", one, first)
        await _type_and_accept(timeline, one, uri, first)
        other = _open_file(timeline, "window 1", one, second) if second is not first else uri
        _edit(timeline, one, other, second)
        await _ask_again(timeline, one, uri)
        await _open_window(timeline, "window 2", two)
        try:
            await _menu(timeline, two, second)
        finally:
            await two.stop()
        stub = next((s for s in chosen if stub_line(s.text) is not None), second)
        await _action(timeline, one, stub)
    finally:
        await one.stop()
    timeline.add("window 1", "closes", "the daemon stays for the next window, and leaves when idle")


async def _open_window(timeline: Timeline, who: str, editor: Editor) -> None:
    result, ms = await timeline.ask(editor.start())
    able = result.capabilities
    features = [
        name
        for name, provider in [
            ("inline completion", able.inline_completion_provider),
            ("completion items", able.completion_provider),
            ("code actions", able.code_action_provider),
        ]
        if provider
    ]
    encoding = t.PositionEncodingKind(able.position_encoding or "utf-16").value
    timeline.add(who, "starts a language server", f"{', '.join(features)}; positions in {encoding}", ms=ms)
    _, ms = await timeline.ask(editor.ready())
    said = "; ".join(dict.fromkeys(editor.progress)) or "no progress to report"
    timeline.add(who, "waits for the model", f"{editor.status['model']} is ready ({said})", ms=ms)


def _open_file(timeline: Timeline, who: str, editor: Editor, source: Source) -> str:
    uri = editor.open(source.path, source.language_id, source.text)
    n_lines = source.text.count("\n") + 1
    timeline.add(who, f"opens {source.path}", f"{n_lines} lines of {source.language_id}")
    return uri


async def _type_and_accept(timeline: Timeline, editor: Editor, uri: str, source: Source) -> None:
    """Cut a line in the middle of the file and type it again, until something is suggested."""
    place = hole(source.text)
    assert place is not None  # `sources` chose the file for it
    offset = _cut(timeline, editor, uri, place)
    for n_typed, letter in enumerate(("", *place.typed)):
        editor.replace(uri, offset, offset, letter)
        offset += len(letter)
        items, ms = await timeline.ask(editor.inline(uri, offset))
        asked = f"types {letter!r}, asks for ghost text" if n_typed else "asks for ghost text"
        await _report(timeline, "window 1", editor, asked, items[0].insert_text if items else None, ms)
    if items:
        _accept(timeline, editor, uri, items[0], offset)
        if items[0].command:
            await editor.command(items[0].command.command, *(items[0].command.arguments or []))
    else:
        editor.replace(uri, offset, offset, place.rest)
        timeline.add("window 1", "finishes the line by hand", repr(place.rest))


def _cut(timeline: Timeline, editor: Editor, uri: str, place: Hole) -> int:
    """Remove the end of the line; returns the offset where it is typed again."""
    lines = editor.documents[uri].lines
    start, end = lines.offset(place.line, place.column, "utf-32"), lines.end_of(place.line)
    kept = lines.line(place.line)[: place.column]
    editor.replace(uri, start, end, "")
    timeline.add("window 1", f"deletes the end of line {place.line + 1}", f"{kept!r} is left of it")
    return start


def _accept(timeline: Timeline, editor: Editor, uri: str, item: t.InlineCompletionItem, offset: int) -> None:
    assert isinstance(item.insert_text, str)
    if item.range is None:
        editor.replace(uri, offset, offset, item.insert_text)
    else:
        editor.replace_range(uri, item.range, item.insert_text)
    lines = editor.documents[uri].lines
    timeline.add("window 1", "accepts it", f"line is now {lines.line(lines.line_at(offset))!r}")


def _edit(timeline: Timeline, editor: Editor, uri: str, source: Source) -> None:
    note = NOTE if source.language_id == "python" else OTHER_NOTE
    end = len(editor.documents[uri].text)
    editor.replace(uri, end, end, note)
    timeline.add("window 1", f"adds {note.count(chr(10)) - 1} lines to {source.path}", "an edit elsewhere")


async def _ask_again(timeline: Timeline, editor: Editor, uri: str) -> None:
    lines = editor.documents[uri].lines
    offset = lines.end_of(lines.count // 2)
    editor.replace(uri, offset, offset, "\n")
    items, ms = await timeline.ask(editor.inline(uri, offset + 1))
    asked = "opens a new line in the first file, asks again"
    await _report(timeline, "window 1", editor, asked, items[0].insert_text if items else None, ms)


async def _menu(timeline: Timeline, editor: Editor, source: Source) -> None:
    uri = _open_file(timeline, "window 2", editor, source)
    place = hole(source.text)
    assert place is not None
    offset = editor.documents[uri].lines.offset(place.line, place.column, "utf-32")
    editor.replace(uri, offset, editor.documents[uri].lines.end_of(place.line), "")
    items, ms = await timeline.ask(editor.completion(uri, offset))
    asked = f"cuts line {place.line + 1}, asks for completion items"
    await _report(timeline, "window 2", editor, asked, items[0].label if items else None, ms)


async def _action(timeline: Timeline, editor: Editor, source: Source) -> None:
    """Fill in a stub where there is one, else rewrite a line."""
    path = (editor.root / source.path).as_uri()
    uri = path if path in editor.documents else _open_file(timeline, "window 1", editor, source)
    lines = editor.documents[uri].lines
    line = stub_line(editor.documents[uri].text)
    if line is None:
        place = hole(editor.documents[uri].text) or Hole(0, 0, "", "")
        line = place.line
    offers, ms = await timeline.ask(editor.actions(uri, lines.starts[line], lines.end_of(line)))
    titles = ", ".join(repr(offer.title) for offer in offers) or "none"
    timeline.add("window 1", f"asks for code actions on line {line + 1}", titles, ms=ms)
    if not offers:
        return
    done, ms = await timeline.ask(editor.resolve(offers[0]))
    if done.edit is None:
        await _report(timeline, "window 1", editor, f"chooses {offers[0].title!r}", None, ms)
        return
    new_text = " / ".join(editor.apply(done.edit))
    await _report(timeline, "window 1", editor, f"chooses {offers[0].title!r}, applies its edit", new_text, ms)


async def _report(timeline: Timeline, who: str, editor: Editor, asked: str, shown: object, ms: float) -> None:
    """Add what came back, with the counts and the reason that the server gives for its last answer."""
    last = (await editor.command("qwen.why") or [{}])[0]
    usage = last.get("usage") or {}
    timeline.add(
        who,
        asked,
        repr(_short(str(shown))) if shown is not None else f"nothing: {last.get('reason')}",
        ms=round(ms, 1),
        engine_ms=usage.get("engine_ms"),
        evaluated=usage.get("evaluated_tokens"),
        reused=usage.get("cached_tokens"),
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
