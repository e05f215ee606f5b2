// What VS Code is told of an edit that is to be looked at first, and what it did with one. Knows no VS Code.

import type { ApplyWorkspaceEditParams, ApplyWorkspaceEditResult, WorkspaceEdit } from "vscode-languageclient";

const ASKS = "qwenLsp.asks"; // the annotation of the one operation that opens Refactor Preview

/**
 * The edit with its parts ticked in Refactor Preview, so that Apply applies the whole of it.
 *
 * VS Code opens the preview when some part needs confirmation, and begins with such parts unticked: Apply would then
 * change nothing. So the part that asks is one that does nothing, and that the preview leaves out: the making of a file
 * that is there already.
 */
export function ticked(edit: WorkspaceEdit): WorkspaceEdit {
  const changes = edit.documentChanges ?? [];
  const notes = Object.entries(edit.changeAnnotations ?? {});
  const made = new Set(changes.map((each) => ("kind" in each && each.kind === "create" ? each.uri : undefined)));
  const there = changes.map((each) => ("textDocument" in each ? each.textDocument.uri : undefined));
  const uri = there.find((each) => each !== undefined && !made.has(each));
  if (uri === undefined || !notes.some(([, { needsConfirmation }]) => needsConfirmation === true)) {
    return edit;
  }
  const plain = notes.map(([id, note]) => [id, { ...note, needsConfirmation: false }] as const);
  return {
    ...edit,
    documentChanges: [...changes, { kind: "create", uri, options: { ignoreIfExists: true }, annotationId: ASKS }],
    changeAnnotations: { ...Object.fromEntries(plain), [ASKS]: { label: "asks", needsConfirmation: true } },
  };
}

/** Why somebody is to look first: what is said of the parts that need confirmation; "" where none does. */
export function reasons(edit: WorkspaceEdit): string {
  const asking = Object.values(edit.changeAnnotations ?? {}).filter(({ needsConfirmation }) => needsConfirmation === true);
  return asking.map(({ label, description }) => [label, description].filter(Boolean).join(": ")).join("; ");
}

/** VS Code says that an edit was not applied, but not why. `versions`: of the open files, by URI, after its answer. */
export function explained(
  { edit }: ApplyWorkspaceEditParams,
  result: ApplyWorkspaceEditResult,
  versions: (uri: string) => number | undefined,
): ApplyWorkspaceEditResult {
  if (result.applied || result.failureReason !== undefined) {
    return result;
  }
  const stale = (edit.documentChanges ?? []).some((change) => {
    const made = "textDocument" in change ? change.textDocument : undefined;
    return made !== undefined && made.version !== null && versions(made.uri) !== made.version;
  });
  return { ...result, failureReason: stale ? "a file was changed meanwhile" : "you discarded it" };
}
