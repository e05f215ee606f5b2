// The status bar item's menu, the choice of a model, and what is offered where no server was found.

import * as vscode from "vscode";
import type { Connection } from "./connection";
import { item } from "./status";

const EXTENSION = "qwen-lsp.qwen-lsp";

interface Entry extends vscode.QuickPickItem {
  readonly run?: () => Thenable<unknown>;
}

export async function model(): Promise<void> {
  const settings = vscode.workspace.getConfiguration("qwen");
  const set = (value: string | undefined): Thenable<void> =>
    settings.update("model", value, vscode.ConfigurationTarget.Global);
  const browse = async (files: boolean): Promise<void> => {
    const filters: Record<string, string[]> = files ? { GGUF: ["gguf"] } : {};
    const options = { canSelectFiles: files, canSelectFolders: !files, filters };
    const [chosen] = (await vscode.window.showOpenDialog(options)) ?? [];
    if (chosen !== undefined) {
      await set(chosen.fsPath);
    }
  };
  const now = settings.get<string | null>("model") ?? "the engine's default";
  await choose(`Qwen: Model (now ${now})`, [
    { label: "$(file) A .gguf file…", run: () => browse(true) },
    { label: "$(folder) A folder of safetensors…", run: () => browse(false) },
    { label: "$(discard) The engine's default", run: () => set(undefined) },
    { label: "$(gear) Settings", run: () => openSettings() },
  ]);
}

export async function menu(connection: Connection): Promise<void> {
  const { lines } = item(connection.shown);
  // Of separators that follow each other VS Code shows the last one only.
  const status = [{ label: lines.join(" · "), kind: vscode.QuickPickItemKind.Separator }];
  const run = (name: string) => () => vscode.commands.executeCommand(`qwenLsp.${name}`);
  const cancel = connection.progress.running.map(({ title, stop }) => ({
    label: `$(circle-slash) Cancel ${title}`,
    run: async () => stop(),
  }));
  const entries: Entry[] = connection.running
    ? [
        ...cancel,
        { label: "$(debug-pause) Pause or resume", run: run("pause") },
        { label: "$(question) Why is there no suggestion?", run: run("why") },
        { label: "$(list-tree) Show context", run: run("context") },
        { label: "$(chip) Choose model…", run: run("model") },
        { label: "$(shield) Trust this workspace for checks…", run: run("trust") },
      ]
    : offers(connection);
  const always = [
    { label: "$(output) Open log", run: run("log") },
    { label: "$(refresh) Restart server", run: run("restart") },
    { label: "$(gear) Settings", run: () => openSettings() },
  ];
  await choose("Qwen", [...status, ...entries, ...always]);
}

/** Where no server was found: what can be done about it. Nothing is fetched unless the user does it. */
export async function offer(connection: Connection): Promise<void> {
  const entries = offers(connection);
  const untrusted = vscode.workspace.isTrusted ? "" : " The workspace's own .venv was not looked at: it is not trusted.";
  const chosen = await vscode.window.showWarningMessage(
    `Qwen: the language server qwen-lsp was not found.${untrusted}`,
    ...entries.map(({ title }) => title),
  );
  await entries.find(({ title }) => title === chosen)?.run?.();
}

function offers(connection: Connection): (Entry & { title: string })[] {
  const choice = async (): Promise<void> => {
    const [program] = (await vscode.window.showOpenDialog({ title: "The program qwen-lsp", canSelectMany: false })) ?? [];
    if (program !== undefined) {
      const settings = vscode.workspace.getConfiguration("qwen");
      await settings.update("server.command", [program.fsPath], vscode.ConfigurationTarget.Global);
    }
  };
  return [
    { title: "Choose Program…", label: "$(file) Choose the program qwen-lsp…", run: choice },
    { title: "How to Install", label: "$(book) How to install it", run: howToInstall },
    { title: "Look Again", label: "$(refresh) Look again", run: () => connection.restart() },
  ];
}

async function choose(title: string, entries: Entry[]): Promise<void> {
  const chosen = await vscode.window.showQuickPick(entries, { title });
  await chosen?.run?.();
}

function openSettings(): Thenable<unknown> {
  return vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${EXTENSION}`);
}

function howToInstall(): Thenable<unknown> {
  const here = vscode.extensions.getExtension(EXTENSION)?.extensionUri ?? vscode.Uri.file("/");
  return vscode.commands.executeCommand("markdown.showPreview", vscode.Uri.joinPath(here, "README.md"));
}
