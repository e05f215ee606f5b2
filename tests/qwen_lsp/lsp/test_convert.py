"""Our types to the wire's and back: edits of several files, roots, data that a client kept for us."""

from pathlib import Path

import pytest
from lsprotocol import types as t

from qwen_lsp.errors import EditConflict, StaleDocument, UnknownDocument
from qwen_lsp.features.actions import Action
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.capabilities import Client
from qwen_lsp.text.document import Change
from qwen_lsp.text.edits import EditSet, FileEdit
from tests.fixture import fixture, uri_of

TWO = fixture("//- a.py\nx = '🙂'\n//- b.py\n\r\ny = $1x$2\n")
A, B = uri_of("a.py"), uri_of("b.py")
EDITS = EditSet((FileEdit(A, 1, 5, 6, "é"), FileEdit(A, 1, 0, 1, "z"), FileEdit(B, 1, 0, 0, "#")))
RENAMED = [
    t.TextEdit(t.Range(t.Position(0, 0), t.Position(0, 1)), "z"),
    t.TextEdit(t.Range(t.Position(0, 5), t.Position(0, 7)), "é"),
]


def test_edits_of_two_files_with_their_versions() -> None:
    edit = convert.workspace_edit(EDITS, TWO.snapshot.documents, Client("utf-16", document_changes=True))
    assert edit.changes is None
    first, second = edit.document_changes or ()
    assert isinstance(first, t.TextDocumentEdit) and isinstance(second, t.TextDocumentEdit)
    assert (first.text_document.uri, first.text_document.version, first.edits) == (A, 1, RENAMED)
    assert (second.text_document.uri, len(second.edits)) == (B, 1)


def test_edits_for_a_client_without_versions() -> None:
    edit = convert.workspace_edit(EDITS, TWO.snapshot.documents, Client("utf-16"))
    assert edit.document_changes is None
    assert edit.changes is not None and edit.changes[A] == RENAMED


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (FileEdit(A, 2, 0, 0, "x"), StaleDocument),
        (FileEdit("file:///w/c.py", None, 0, 0, "x"), UnknownDocument),
        (FileEdit(A, 1, 0, 99, "x"), EditConflict),
    ],
)
def test_an_edit_set_that_does_not_fit_is_refused_as_a_whole(edit: FileEdit, error: type[Exception]) -> None:
    whole = EditSet((FileEdit(B, 1, 0, 0, "#"), edit))
    with pytest.raises(error):
        convert.workspace_edit(whole, TWO.snapshot.documents, Client())


def test_an_action_comes_back_as_it_went_out() -> None:
    action = Action("refactor.rewrite", "Rewrite", "a1", A, 1, 0, 3, None)
    assert convert.action_of(convert.action_data(action), TWO.snapshot.documents) == action


def test_paths_of_uris() -> None:
    assert convert.path_of("file:///w/a%20b.py") == Path("/w/a b.py")
    assert convert.path_of("untitled:Untitled-1") is None
    assert convert.path_of("") is None


def test_changes() -> None:
    spot = t.Range(t.Position(1, 2), t.Position(3, 4))
    assert convert.change(t.TextDocumentContentChangePartial(spot, "x")) == Change("x", (1, 2), (3, 4))
    assert convert.change(t.TextDocumentContentChangeWholeDocument("x")) == Change("x")


def test_a_quick_fix_names_the_diagnostic_that_it_fixes() -> None:
    document = TWO.snapshot.documents[A]
    where = t.Range(t.Position(0, 0), t.Position(0, 1))
    both = [t.Diagnostic(where, "one"), t.Diagnostic(where, "two")]
    client = Client("utf-16", literals=True, resolves=True)
    for problem, named in ((1, [both[1]]), (None, None)):
        action = Action("quickfix", "Fix", "fix1:1:0:1", A, 1, 0, 1, None, "Fix it.", problem=problem)
        found = convert.code_action(action, client, document, both)
        assert isinstance(found, t.CodeAction) and found.diagnostics == named and found.is_preferred is None
