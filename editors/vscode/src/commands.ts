// The palette's commands, and the server's that code actions run. Each asks the user what it must, runs one command of
// the server, and shows what came back.

import * as vscode from "vscode";
import type { Connection } from "./connection";
import { table } from "./markdown";
import { menu, model } from "./menu";
import type { Texts } from "./texts";

interface Report {
  readonly markdown?: string;
  readonly applied?: boolean;
  readonly reason?: string;
}

type Row = Readonly<Record<string, unknown>>;

const EXPLAIN = "qwen.explain";
const REFACTOR = "qwen.refactor";
const CANCELLED = -32800;
const TOLD: readonly number[] = [-32803, -32801]; // failed, and stale: the server has shown the reason as a message

export function register(connection: Connection, texts: Texts): vscode.Disposable {
  const commands: Record<string, () => Promise<unknown>> = {
    menu: () => menu(connection),
    refactor: () => refactor(connection, texts),
    explain: () => explain(connection, texts),
    trust: () => trust(connection),
    context: () => context(connection, texts),
    pause: () => connection.run("qwen.pause", []),
    why: () => why(connection, texts),
    log: async () => connection.channel.show(true), // the server logs to its standard error; the cursor stays in the code
    model: () => model(),
    cancel: () => cancel(connection),
    restart: () => connection.restart(),
  };
  const registered = Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(`qwenLsp.${name}`, () => run().catch(tell)),
  );
  return vscode.Disposable.from(...registered);
}

/** What an action's command brings back is for people, and VS Code alone would drop it. */
export async function chosen(texts: Texts, command: string, next: () => Promise<unknown>): Promise<unknown> {
  try {
    const result = command === EXPLAIN ? await working("explaining", next) : await next();
    await show(texts, command, result as Report | null);
    return result;
  } catch (error) {
    tell(error);
    return undefined;
  }
}

/** A command that was cancelled has ended as its user wished. */
function tell(error: unknown): void {
  const code = (error as { code?: number }).code;
  if (error instanceof vscode.CancellationError || code === CANCELLED || TOLD.includes(code ?? 0)) {
    return;
  }
  void vscode.window.showWarningMessage(`Qwen: ${error instanceof Error ? error.message : String(error)}`);
}

async function refactor(connection: Connection, texts: Texts): Promise<void> {
  const editor = editorOrThrow();
  const instruction = await vscode.window.showInputBox({
    title: "Qwen: Refactor Across Files",
    prompt: "What is to be done? The change is shown before anything is written.",
    placeHolder: "split this class and update the callers",
    ignoreFocusOut: true,
  });
  if (!instruction?.trim()) {
    return;
  }
  const argument = { instruction, uri: editor.document.uri.toString(), range: selectedRange(editor) };
  await show(texts, REFACTOR, await connection.run<Report | null>(REFACTOR, [argument]));
}

async function explain(connection: Connection, texts: Texts): Promise<void> {
  const editor = editorOrThrow();
  const range = selectedRange(editor) ?? plain(editor.document.lineAt(editor.selection.active.line).range);
  const argument = { uri: editor.document.uri.toString(), range };
  const report = await working("explaining", (token) => connection.run<Report | null>(EXPLAIN, [argument], token));
  await show(texts, EXPLAIN, report);
}

/** An explanation is what was asked for; a change's report is offered. Why there was no change the server has told. */
async function show(texts: Texts, command: string, report: Report | null): Promise<void> {
  if (!report?.markdown) {
    return;
  }
  if (command === EXPLAIN) {
    await texts.show("explanation", report.markdown);
  } else if (report.applied === true) {
    const button = "Show Report";
    const { markdown } = report;
    void vscode.window.showInformationMessage("Qwen: the change is made.", button).then(async (answer) => {
      if (answer === button) {
        await texts.show("refactor", markdown);
      }
    });
  }
}

/** Stop what the server works on for the user; where there are several, which one is asked. */
async function cancel(connection: Connection): Promise<void> {
  const { running } = connection.progress;
  if (running.length === 0) {
    void vscode.window.showInformationMessage("Qwen: nothing is being worked on.");
    return;
  }
  const picked =
    running.length === 1
      ? running[0]
      : await vscode.window.showQuickPick(
          running.map((work) => ({ ...work, label: work.title })),
          { title: "Qwen: Cancel" },
        );
  picked?.stop();
}

async function context(connection: Connection, texts: Texts): Promise<void> {
  const editor = editorOrThrow();
  const { line, character } = editor.selection.active;
  const argument = { uri: editor.document.uri.toString(), position: { line, character } };
  const rows = await connection.run<Row[] | null>("qwen.context", [argument]);
  const found = rows?.length ? table(rows) : "Nothing but this file.";
  await texts.show("context", `# What a prompt holds here\n\n${found}\n`);
}

async function why(connection: Connection, texts: Texts): Promise<void> {
  const rows = await connection.run<Row[] | null>("qwen.why", []);
  const found = rows?.length ? table(rows) : "Nothing was asked yet.";
  await texts.show("why", `# What became of the last requests\n\n${found}\n`);
}

/** VS Code's own trust comes first: without it nothing of the workspace is run, whatever is said here. */
async function trust(connection: Connection): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    await vscode.commands.executeCommand("workbench.trust.manage");
    return;
  }
  const yes = "Trust";
  const no = "Do Not Trust";
  const answer = await vscode.window.showWarningMessage(
    "May refactors run this workspace's own checks?",
    { modal: true, detail: "Its compiler, linter or tests are then run on a copy of the workspace, with your rights." },
    yes,
    no,
  );
  if (answer !== undefined) {
    await connection.run("qwen.trust", [{ trusted: answer === yes }]);
  }
}

/** Something the user waits for, with a button that cancels it. */
function working<R>(title: string, work: (token: vscode.CancellationToken) => Promise<R>): Thenable<R> {
  const options = { location: vscode.ProgressLocation.Notification, title: `Qwen: ${title}`, cancellable: true };
  return vscode.window.withProgress(options, (_, token) => work(token));
}

function editorOrThrow(): vscode.TextEditor {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) {
    throw new Error("open a file first");
  }
  return editor;
}

function selectedRange(editor: vscode.TextEditor): PlainRange | undefined {
  return editor.selection.isEmpty ? undefined : plain(editor.selection);
}

type Place = { line: number; character: number };
type PlainRange = { start: Place; end: Place };

/** As the protocol has it: VS Code's own range serialises as a pair. */
function plain({ start, end }: vscode.Range): PlainRange {
  const place = ({ line, character }: vscode.Position): Place => ({ line, character });
  return { start: place(start), end: place(end) };
}
