// What a user does in the window, in a few words: open a file, put the cursor, ask for a suggestion, take it.

const fs = require("node:fs");
const vscode = require("vscode");
const { until } = require("./harness");

const root = () => vscode.workspace.workspaceFolders[0].uri;
const at = (name) => (typeof name === "string" ? vscode.Uri.joinPath(root(), name) : name);
const extension = () => vscode.extensions.getExtension("qwen-lsp.qwen-lsp");

const onDisk = (name) => fs.readFileSync(at(name).fsPath, "utf8");

let patienceMs = 30_000; // once it was in vain, the other checks are not to wait as long

/** The extension, with a server that is ready. */
async function ready() {
  await until("the extension is active", () => extension()?.isActive);
  const api = extension().exports;
  const given = patienceMs;
  patienceMs = 1_000;
  await until("the server is ready", () => api.statusText().endsWith("ready"), given).catch((error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(api.shown())}`);
  });
  patienceMs = given;
  return api;
}

/** A file of the first folder, or one by its URI, as it is on the disk, with `typed` at its end and the cursor behind that. */
async function open(name, typed, end = "\n") {
  const document = await vscode.workspace.openTextDocument(at(name));
  const editor = await vscode.window.showTextDocument(document);
  if (document.isDirty) await vscode.commands.executeCommand("workbench.action.files.revert");
  if (typed !== undefined) {
    const last = document.positionAt(document.getText().length);
    await editor.edit((edit) => edit.insert(last, `\n${typed}${end}`));
    const place = document.positionAt(document.getText().length);
    editor.selection = new vscode.Selection(place, place);
  }
  return editor;
}

/** Ask for ghost text and take it by `command` as soon as it is there; the document's text afterwards. */
async function take(editor, command = "editor.action.inlineSuggest.commit") {
  const before = editor.document.getText();
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  // The command does nothing while there is no ghost text.
  const taken = async () => {
    await vscode.commands.executeCommand(command);
    return editor.document.getText() !== before;
  };
  await until(`${command} changes the text`, taken);
  return editor.document.getText();
}

/** The project as it was at first: no dirty buffer, no file that a refactor made. */
async function pristine() {
  for (const document of vscode.workspace.textDocuments.filter(({ isDirty, uri }) => isDirty && uri.scheme === "file")) {
    await vscode.window.showTextDocument(document);
    await vscode.commands.executeCommand("workbench.action.files.revert");
  }
  const { files, refactored } = JSON.parse(process.env.QWEN_TEST_ANSWERS);
  for (const name of Object.keys(refactored)) {
    if (files[name] === undefined) fs.rmSync(at(name).fsPath, { force: true });
    else if (onDisk(name) !== files[name]) fs.writeFileSync(at(name).fsPath, files[name]);
  }
  await until("the editor has seen the disk", () =>
    vscode.workspace.textDocuments.every(({ uri, getText }) => {
      const name = vscode.workspace.asRelativePath(uri, false);
      return files[name] === undefined || getText() === files[name];
    }),
  );
}

async function type(text) {
  await vscode.commands.executeCommand("type", { text });
}

/** The actions offered at a range, with their edits where they have any. */
async function actions(document, range, nResolved = 0) {
  return vscode.commands.executeCommand("vscode.executeCodeActionProvider", document.uri, range, undefined, nResolved);
}

module.exports = { at, onDisk, pristine, root, extension, ready, open, take, type, actions };
