// The extension: joins the connection, the status bar and the commands. Activation only registers; the search for the
// server and its start go on behind it.

import * as vscode from "vscode";
import { chosen, register } from "./commands";
import { Connection } from "./connection";
import { offer } from "./menu";
import type { Property } from "./settings";
import { item, type Shown } from "./status";
import { Texts } from "./texts";

const begun = performance.now(); // the first line of ours that runs
const begunCpu = process.cpuUsage();

/** What other extensions, and our tests, may ask. */
export interface Api {
  readonly activationMs: number; // from the first line of ours to the end of `activate`, loading the bundle included
  readonly activationCpuMs: number; // the same in processor time, which a busy machine does not stretch
  shown(): Shown;
  statusText(): string;
  from(): string | undefined; // where the server was found
  working(): readonly string[]; // titles of what the user could cancel now
}

let connection: Connection | undefined;

export function activate(context: vscode.ExtensionContext): Api {
  const properties = context.extension.packageJSON.contributes.configuration.properties as Record<string, Property>;
  const channel = vscode.window.createOutputChannel("Qwen", { log: true });
  const texts = new Texts();
  const live = new Connection(context.extensionPath, properties, channel, (command, next) => chosen(texts, command, next));
  connection = live;
  const bar = vscode.window.createStatusBarItem("qwenLsp.status", vscode.StatusBarAlignment.Right, 100);
  bar.name = "Qwen";
  bar.command = "qwenLsp.menu";
  context.subscriptions.push(channel, live, bar, texts.register(), register(live, texts));
  context.subscriptions.push(
    live.onDidShow((shown) => {
      show(bar, shown, live.from);
      if (shown.kind === "missing") {
        void offer(live);
      }
    }),
    live.onRefresh(refresh),
  );
  show(bar, live.shown, undefined);
  bar.show();
  void live.restart();
  const { user, system } = process.cpuUsage(begunCpu);
  return {
    activationMs: performance.now() - begun,
    activationCpuMs: (user + system) / 1000,
    shown: () => live.shown,
    statusText: () => bar.text,
    from: () => live.from,
    working: () => live.progress.running.map(({ title }) => title),
  };
}

export async function deactivate(): Promise<void> {
  await connection?.stop();
}

function show(bar: vscode.StatusBarItem, shown: Shown, from: string | undefined): void {
  const { text, lines, alert } = item(shown);
  bar.text = text;
  bar.tooltip = [...lines, ...(from === undefined ? [] : [`Server: from ${from}`])].join("\n");
  bar.accessibilityInformation = { label: `Qwen: ${lines.join(", ")}`, role: "button" };
  bar.backgroundColor = alert ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
}

/** VS Code has stopped asking; if the user still looks at that file, it is to ask once more. */
function refresh(uri: string): void {
  if (vscode.window.activeTextEditor?.document.uri.toString() === vscode.Uri.parse(uri).toString()) {
    void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  }
}
