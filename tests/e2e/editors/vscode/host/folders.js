// A window on two folders: each is served with its own settings, and both by one server.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vscode = require("vscode");
const { runAll, until } = require("./harness");
const { said, sent, traffic } = require("./wire");
const { open, ready, take } = require("./window");

const say = JSON.parse(process.env.QWEN_TEST_ANSWERS);
const TYPED = `    ${say.totalTyped}`;
const since = traffic().length;
const folders = () => vscode.workspace.workspaceFolders ?? [];
const stock = (folder) => vscode.Uri.joinPath(folder.uri, "shop/stock.py");

const checks = {
  async "the server is told of both folders, and asks for each one's settings"() {
    await ready();
    const [{ params }] = sent("initialize", since);
    assert.deepEqual(params.workspaceFolders.map(({ name }) => name), folders().map(({ name }) => name));
    const uris = params.workspaceFolders.map(({ uri }) => uri);
    await said("workspace/configuration", since, ({ items }) => uris.every((uri) => items.some(({ scopeUri }) => scopeUri === uri)));
  },

  async "a suggestion is accepted in either folder"() {
    for (const folder of folders()) {
      await ready();
      const editor = await open(stock(folder), TYPED);
      assert.ok((await take(editor)).includes(`${TYPED}\n${say.total}`), folder.name);
      await vscode.commands.executeCommand("workbench.action.files.revert");
    }
  },

  async "a folder's own setting counts in that folder only"() {
    const [one, two] = folders();
    const place = path.join(two.uri.fsPath, ".vscode", "settings.json");
    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.writeFileSync(place, JSON.stringify({ "qwen.completion.enabled": false }));
    try {
      await until("VS Code has read it", () => !vscode.workspace.getConfiguration("qwen", two.uri).get("completion.enabled"));
      const begun = traffic().length;
      await open(stock(two), TYPED);
      await until("it is silent there, and says why", async () => {
        await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
        return sent("qwen/status", begun).some(({ params }) => params.reason.includes("switched off in the settings"));
      });
      await vscode.commands.executeCommand("workbench.action.files.revert");
      const editor = await open(stock(one), TYPED);
      assert.ok((await take(editor)).includes(`${TYPED}\n${say.total}`));
      await vscode.commands.executeCommand("workbench.action.files.revert");
    } finally {
      fs.rmSync(path.dirname(place), { recursive: true });
    }
  },
};

exports.run = async () => {
  await until("the window has its folders, else it is opened again", () => folders().length === 2, 4_000);
  await runAll(checks);
};
