import assert from "node:assert/strict";
import { test } from "node:test";
import { explained, reasons, ticked } from "../src/preview.ts";

const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
const change = (uri: string, version: number | null) => ({
  textDocument: { uri, version },
  edits: [{ range, newText: "x", annotationId: "q" }],
});
const create = { kind: "create" as const, uri: "file:///new", annotationId: "q" };
const edit = {
  documentChanges: [create, change("file:///new", null), change("file:///old", 3)],
  changeAnnotations: { q: { label: "Qwen: x", needsConfirmation: true } },
};

test("what is to be looked at is ticked, and one operation that does nothing asks", () => {
  const { documentChanges = [], changeAnnotations = {} } = ticked(edit);
  assert.deepEqual(documentChanges.slice(0, 3), edit.documentChanges);
  const asks = { kind: "create", uri: "file:///old", options: { ignoreIfExists: true }, annotationId: "qwenLsp.asks" };
  assert.deepEqual(documentChanges.slice(3), [asks]);
  assert.equal(changeAnnotations["q"]?.needsConfirmation, false);
  assert.equal(changeAnnotations["qwenLsp.asks"]?.needsConfirmation, true);
});

test("an edit that asks nothing stays as it is, and so does one of new files only", () => {
  const plain = { ...edit, changeAnnotations: { q: { label: "Qwen: x" } } };
  assert.equal(ticked(plain), plain);
  const fresh = { ...edit, documentChanges: [create, change("file:///new", null)] };
  assert.equal(ticked(fresh), fresh);
});

test("what needs confirmation has a reason, and what does not has none", () => {
  const said = (needsConfirmation: boolean) => ({ changeAnnotations: { q: { label: "Qwen: x", description: "y", needsConfirmation } } });
  assert.equal(reasons(said(true)), "Qwen: x: y");
  assert.equal(reasons(said(false)), "");
  assert.equal(reasons({}), "");
});

test("an edit that was not applied has a reason", () => {
  const reason = (version: number) => explained({ edit }, { applied: false }, () => version).failureReason;
  assert.equal(reason(3), "you discarded it");
  assert.equal(reason(4), "a file was changed meanwhile");
  assert.deepEqual(explained({ edit }, { applied: true }, () => 4), { applied: true });
  assert.equal(explained({ edit }, { applied: false, failureReason: "no" }, () => 4).failureReason, "no");
});
