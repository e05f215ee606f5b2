"""Work that goes on while nobody waits; what editors see of it is tested through the server."""

import asyncio

from qwen_lsp.features.complete import Nothing
from qwen_lsp.features.making import Making, Work
from qwen_lsp.text.document import Cursor, opened


async def test_work_begins_before_anything_else_that_the_loop_has_to_do() -> None:
    document, went = opened("file:///a.py", "python", 1, "x"), list[str]()
    done: list[object] = []
    making = Making(lambda: {document.uri: document}, lambda _, found: done.append(found))

    async def make(_: Work) -> Nothing:
        went.append("asked")
        await asyncio.sleep(0)
        return Nothing("no")

    asyncio.get_running_loop().call_soon(went.append, "the loop's next turn")
    work = making.begin(("inline", document.uri), Cursor(document, 1), make)
    assert went == ["asked"]
    assert making.fitting(work.key, work.cursor) is work
    assert await work.wait(None) == Nothing("no")
    await asyncio.sleep(0)
    assert done == [Nothing("no")] and making.fitting(work.key, work.cursor) is None
