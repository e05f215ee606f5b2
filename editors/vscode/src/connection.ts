// One window's connection to the language server: found, started, told the settings, started again.
// Knows no command and no status bar; who wants to know listens to `onDidShow`.

import * as vscode from "vscode";
import {
  DidChangeConfigurationNotification,
  ExecuteCommandRequest,
  LanguageClient,
  type LanguageClientOptions,
  type Middleware,
  RevealOutputChannelOn,
  ResponseError,
  State,
  type StaticFeature,
  WorkDoneProgressCancelNotification,
  type WorkspaceEdit,
} from "vscode-languageclient/node";
import { bundled, thisMachine } from "./machine";
import { findServer, type Server } from "./places";
import { explained, reasons, ticked } from "./preview";
import { Progress } from "./progress";
import { chosen, type Property } from "./settings";
import type { Shown, Status } from "./status";

// Settings of VS Code, the output channel and the like are not code that anybody completes.
const SCHEMES = ["file", "untitled"];

const NEVER = new vscode.CancellationTokenSource().token;

// What the server may ask of this client beyond the protocol.
const experimental: StaticFeature = {
  fillClientCapabilities(capabilities) {
    capabilities.experimental = { ...capabilities.experimental, qwen: { refresh: true, markdown: true } };
  },
  initialize: () => undefined,
  getState: () => ({ kind: "static" }),
  clear: () => undefined,
};

/** Runs a command of the server's that a code action or a suggestion has; `next` is to do just that. */
export type Chosen = (command: string, next: () => Promise<unknown>) => Promise<unknown>;

export class Connection implements vscode.Disposable {
  private client: LanguageClient | undefined;
  private server: Server | undefined;
  private told: Record<string, unknown> = {}; // settings at the start of the client
  private late = ""; // where an answer came too late last: once is enough for one place
  private queue: Promise<void> = Promise.resolve(); // one start or stop after the other
  private readonly shownEmitter = new vscode.EventEmitter<Shown>();
  private readonly refreshEmitter = new vscode.EventEmitter<string>();
  private readonly disposables: vscode.Disposable[] = [this.shownEmitter, this.refreshEmitter];
  readonly onDidShow = this.shownEmitter.event;
  readonly onRefresh = this.refreshEmitter.event; // the URI of a file for which a suggestion has come late
  readonly progress = new Progress();
  shown: Shown = { kind: "looking" };

  constructor(
    private readonly folder: string, // the extension's own
    private readonly properties: Readonly<Record<string, Property>>,
    readonly channel: vscode.LogOutputChannel,
    private readonly chosen: Chosen,
  ) {
    this.disposables.push(
      vscode.workspace.onDidChangeConfiguration((event) => this.configurationChanged(event)),
      // The workspace's own programs may be run now, and its checks asked for.
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.restart()),
    );
  }

  /** Where the server was found; undefined before and where there is none. */
  get from(): string | undefined {
    return this.server?.from;
  }

  get running(): boolean {
    return this.client?.state === State.Running;
  }

  /** Stop what runs, look for the server again and start it. Never rejects: what failed is shown. */
  restart(): Promise<void> {
    this.queue = this.queue.then(() => this.stopNow()).then(() => this.startNow());
    return this.queue;
  }

  /** Run one of the server's commands. */
  async run<R>(command: string, args: unknown[], token?: vscode.CancellationToken): Promise<R> {
    if (this.client === undefined) {
      throw new Error("the language server does not run");
    }
    return (await this.client.sendRequest(ExecuteCommandRequest.type, { command, arguments: args }, token)) as R;
  }

  async stop(): Promise<void> {
    this.queue = this.queue.then(() => this.stopNow());
    await this.queue;
  }

  dispose(): void {
    vscode.Disposable.from(...this.disposables).dispose();
  }

  private async startNow(): Promise<void> {
    this.show({ kind: "looking" });
    const configured = vscode.workspace.getConfiguration("qwen").get<string[]>("server.command") ?? [];
    const trusted = vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders ?? []) : [];
    const folders = trusted.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath);
    this.server = await findServer(thisMachine, configured, await bundled(this.folder), folders);
    if (this.server === undefined) {
      this.show({ kind: "missing" });
      return;
    }
    this.channel.info(`server: ${this.server.command}, from ${this.server.from}`);
    this.client = this.newClient(this.server);
    try {
      await this.client.start();
      if (!vscode.workspace.isTrusted) {
        await this.run("qwen.trust", [{ trusted: false }]); // restricted mode takes back what was allowed before
      }
    } catch (error) {
      this.show({ kind: "stopped", why: error instanceof Error ? error.message : String(error) });
    }
  }

  private async stopNow(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    this.progress.clear();
    try {
      await client?.dispose();
    } catch {
      // It never came up, or is gone already: both are what was wanted.
    }
  }

  private newClient(server: Server): LanguageClient {
    this.told = this.settings();
    const options: LanguageClientOptions = {
      documentSelector: SCHEMES.map((scheme) => ({ scheme })),
      initializationOptions: this.told,
      outputChannel: this.channel,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      middleware: this.middleware(),
    };
    // Started in the home folder: uv and others read settings from the folder they are started in.
    const executable = { command: server.command, args: [...server.args], options: { cwd: thisMachine.home } };
    const client = new LanguageClient("qwen", "Qwen", executable, options);
    client.registerFeature(experimental);
    client.onNotification("qwen/status", (status: Status) => this.show({ kind: "running", status }));
    client.onNotification("qwen/refresh", ({ uri }: { uri: string }) => this.refreshEmitter.fire(uri));
    client.onDidChangeState(({ newState }) => {
      if (newState === State.Stopped && this.client === client) {
        this.progress.clear();
        this.show({ kind: "stopped", why: "it ended; the log may say why" });
      }
    });
    return client;
  }

  private middleware(): Middleware {
    return {
      executeCommand: (command, args) => this.chosen(command, () => this.run(command, args)),
      handleWorkDoneProgress: (token, message, next) => {
        const stop = (): void =>
          void this.client?.sendNotification(WorkDoneProgressCancelNotification.type, { token });
        if (!this.progress.handle(token, message, stop)) {
          next(token, message);
        }
      },
      // What comes when VS Code has stopped waiting it drops, and the server takes it for shown: it is asked for again.
      provideInlineCompletionItems: async (document, position, context, token, next) => {
        const { version } = document;
        const found = await next(document, position, context, token);
        const place = `${document.uri.toString()} ${version} ${position.line}:${position.character}`;
        const items = Array.isArray(found) ? found : (found?.items ?? []);
        const stays = document.version === version && cursorIn(document)?.isEqual(position) === true;
        if (token.isCancellationRequested && items.length > 0 && stays && this.late !== place) {
          this.late = place;
          this.refreshEmitter.fire(document.uri.toString());
        }
        return found;
      },
      workspace: {
        handleApplyEdit: async (params, next) => {
          const result = await next({ ...params, edit: this.looked(params.edit) }, NEVER);
          return result instanceof ResponseError ? result : explained(params, result, versionOf);
        },
        configuration: async (params, token, next) => {
          const answers = await next(params, token);
          const ours = (n: number) => params.items[n]?.section === "qwen";
          return Array.isArray(answers)
            ? answers.map((it, n) => (ours(n) ? this.settings(params.items[n]?.scopeUri) : it))
            : answers;
        },
      },
    };
  }

  /** The edit as VS Code is to show it; where it opens Refactor Preview, which shows no remarks, a message says why. */
  private looked(edit: WorkspaceEdit): WorkspaceEdit {
    const why = reasons(edit);
    if (why !== "") {
      void vscode.window.showInformationMessage(`${why}. Nothing is changed before you press Apply in Refactor Preview.`);
    }
    return ticked(edit);
  }

  /** The window's; or those of a folder, which the server asks for where there are several. */
  private settings(folder?: string): Record<string, unknown> {
    const scope = folder === undefined ? undefined : vscode.Uri.parse(folder);
    const section = vscode.workspace.getConfiguration("qwen", scope);
    return chosen(this.properties, (name) => section.inspect(name));
  }

  private configurationChanged(event: vscode.ConfigurationChangeEvent): void {
    if (!event.affectsConfiguration("qwen")) {
      return;
    }
    const now = this.settings();
    // The server lays what comes later over what it was started with, so only a new start can take a setting away.
    const taken = Object.keys(this.told).some((name) => !(name in now));
    if (taken || event.affectsConfiguration("qwen.server")) {
      void this.restart();
    } else if (this.running) {
      void this.client?.sendNotification(DidChangeConfigurationNotification.type, { settings: { qwen: now } });
    }
  }

  private show(shown: Shown): void {
    this.shown = shown;
    this.shownEmitter.fire(shown);
  }
}

function versionOf(uri: string): number | undefined {
  const wanted = vscode.Uri.parse(uri).toString(); // the server may write the same URI in another way
  return vscode.workspace.textDocuments.find((document) => document.uri.toString() === wanted)?.version;
}

/** Where the user stands, if that is the document in front. */
function cursorIn(document: vscode.TextDocument): vscode.Position | undefined {
  const editor = vscode.window.activeTextEditor;
  return editor?.document === document ? editor.selection.active : undefined;
}
