"""What each real editor is offered, by the capabilities that it sent."""

import pytest

from tests.qwen_lsp.lsp.wire import PROFILES, Wire, profile

SYNC = {"openClose": True, "change": 2, "save": {"includeText": False}}
COMMANDS = {
    "commands": [
        "qwen.why",
        "qwen.accepted",
        "qwen.applyAction",
        "qwen.pause",
        "qwen.stats",
        "qwen.context",
        "qwen.trust",
        "qwen.refactor",
        "qwen.explain",
        "qwen.cancel",
    ]
}
FOLDERS = {"workspaceFolders": {"supported": True, "changeNotifications": True}}
ACTIONS = {
    "codeActionKinds": ["quickfix", "refactor.rewrite", "refactor.extract", "source"],
    "resolveProvider": True,
}
# name: (encoding, whether completion items are offered)
EXPECTED = {
    "helix_25.07.1": ("utf-8", True),
    "nvim_0.11.4": ("utf-8", True),
    "nvim_0.12.4": ("utf-8", False),
    "vscode_1.139.1": ("utf-16", False),
}


def test_every_profile_has_an_expectation() -> None:
    assert set(PROFILES) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
async def test_exact_capabilities(name: str) -> None:
    encoding, items = EXPECTED[name]
    result = await Wire().begin(profile(name))
    expected = {
        "positionEncoding": encoding,
        "textDocumentSync": SYNC,
        "inlineCompletionProvider": {},
        "codeActionProvider": ACTIONS,
        "executeCommandProvider": COMMANDS,
        "workspace": FOLDERS,
    }
    if items:
        expected["completionProvider"] = {"resolveProvider": False}
    assert result == {"capabilities": expected, "serverInfo": {"name": "qwen-lsp", "version": "0.1.0"}}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        (["utf-16", "utf-8"], "utf-8"),
        (["utf-32"], "utf-32"),
        (["utf-32", "utf-16"], "utf-16"),
        (["ebcdic"], "utf-16"),
    ],
)
async def test_position_encoding(offered: list[str] | None, chosen: str) -> None:
    general = {} if offered is None else {"general": {"positionEncodings": offered}}
    assert (await Wire().begin(general or {"general": {}}))["capabilities"]["positionEncoding"] == chosen


async def test_a_client_without_any_capability() -> None:
    capabilities = (await Wire().begin({"window": {}}))["capabilities"]
    assert capabilities["codeActionProvider"] is True
    assert capabilities["completionProvider"] == {"resolveProvider": False}
