// Markdown of the server's as documents that nobody can edit: explanations, reports, what a prompt would hold.

import * as vscode from "vscode";

const SCHEME = "qwen";
const KEPT = 20; // a preview asks for its text again after a reload of the panel

export class Texts implements vscode.TextDocumentContentProvider {
  private readonly texts = new Map<string, string>();

  register(): vscode.Disposable {
    return vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Show a text beside the code. Each has an address of its own, so that a newer one does not replace an older. */
  async show(name: string, markdown: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${name}.md`, query: String(Date.now()) });
    this.texts.set(uri.toString(), markdown);
    for (const oldest of [...this.texts.keys()].slice(0, -KEPT)) {
      this.texts.delete(oldest);
    }
    const document = await vscode.workspace.openTextDocument(uri);
    if (vscode.extensions.getExtension("vscode.markdown-language-features") !== undefined) {
      await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
    } else {
      await vscode.window.showTextDocument(document, { preview: true, viewColumn: vscode.ViewColumn.Beside });
    }
  }
}
