// Work that the user can stop. The server says that a display has a cancel button; VS Code would show it in the status bar,
// where there is none, so it is shown as a notification here. Knows no client: how to stop the work is handed in.

import * as vscode from "vscode";
import type { ProgressToken, WorkDoneProgressBegin, WorkDoneProgressEnd, WorkDoneProgressReport } from "vscode-languageclient";

type Message = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;

const WORKING = "qwenLsp.working"; // a context key: there is something to cancel

/** One piece of work and its notification. */
class Work {
  private progress: vscode.Progress<{ message: string }> | undefined;
  private message = ""; // what came before VS Code had the notification ready
  end: () => void = () => undefined;

  constructor(
    readonly title: string,
    readonly stop: () => void,
  ) {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    const ended = new Promise<void>((resolve) => {
      this.end = resolve;
    });
    void vscode.window.withProgress(options, (progress, token) => {
      token.onCancellationRequested(stop);
      this.progress = progress;
      this.say(this.message);
      return ended;
    });
  }

  say(message: string): void {
    this.message = message;
    this.progress?.report({ message });
  }
}

export class Progress {
  private readonly works = new Map<ProgressToken, Work>();

  /** What can be cancelled now. */
  get running(): readonly { readonly title: string; readonly stop: () => void }[] {
    return [...this.works.values()];
  }

  /** Show a message of a display. False: it is of one that can not be cancelled, and VS Code's own business. */
  handle(token: ProgressToken, message: Message, stop: () => void): boolean {
    const work = this.works.get(token);
    if (message.kind === "begin" && message.cancellable === true) {
      this.works.set(token, new Work(message.message ?? message.title, stop));
      this.tell();
      return true;
    }
    if (work !== undefined && message.kind === "report") {
      work.say(message.message ?? "");
    } else if (work !== undefined && message.kind === "end") {
      work.end();
      this.works.delete(token);
      this.tell();
    }
    return work !== undefined;
  }

  /** The server is gone, and its work with it. */
  clear(): void {
    for (const work of this.works.values()) {
      work.end();
    }
    this.works.clear();
    this.tell();
  }

  private tell(): void {
    void vscode.commands.executeCommand("setContext", WORKING, this.works.size > 0);
  }
}
