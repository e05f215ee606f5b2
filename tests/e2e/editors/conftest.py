"""Real editors, headless. One that is not installed is skipped, and never in silence."""

from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from tests.e2e.editors import vscode
from tests.e2e.editors.places import EDITORS, SYSTEM, editor, how_to_have, need


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say in the summary which editors no test was run in."""
    ran = [report for reports in terminalreporter.stats.values() for report in reports if hasattr(report, "nodeid")]
    if not any("tests/e2e/editors/" in report.nodeid for report in ran):
        return
    missing = [name for name in (*EDITORS, *SYSTEM) if editor(name) is None]
    if missing:
        terminalreporter.section("EDITORS NOT TESTED", sep="!", red=True, bold=True)
        for name in missing:
            terminalreporter.write_line(f"{name} is not installed, so its tests were skipped: {how_to_have(name)}")


@pytest.fixture(scope="session")
def vsix() -> Path:
    """The extension as users get it."""
    need("vscode")
    return vscode.packed()
