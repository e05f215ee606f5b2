// Changes over several files: shown first, applied, discarded, made stale, cancelled; and what comes of words.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const vscode = require("vscode");
const { until } = require("./harness");
const { held, now, said, sent } = require("./wire");
const { actions, at, onDisk, open, pristine, ready } = require("./window");

const say = JSON.parse(process.env.QWEN_TEST_ANSWERS);
const TAXES = "shop/taxes.py";
const STOCK = "shop/stock.py";

const preview = (what) => vscode.commands.executeCommand(`refactorPreview.${what}`);
const unchanged = () => Object.entries(say.files).forEach(([name, text]) => assert.equal(onDisk(name), text));
const shown = (params) => params.message;

/** Begin a change; `ended` has its result, `edit` comes when the editor is asked to apply it. */
async function begin(instruction = say.instruction) {
  await ready();
  await pristine();
  const since = now();
  const { document } = await open(STOCK);
  const uri = document.uri.toString();
  const ended = vscode.commands.executeCommand("qwen.refactor", { instruction, uri });
  return { document, since, ended, edit: () => said("workspace/applyEdit", since) };
}

/** Press a button of the preview until the change has ended: the pane comes some time after the request for it. */
async function press(what, ended) {
  let result;
  void ended.then((found) => (result = { found }));
  await until(`${what} ends the preview`, async () => {
    await preview(what);
    return result;
  });
  return result.found;
}

/** Begin a change, and edit stock.py while it is made. */
async function meanwhile(edit) {
  const change = await held(async () => {
    const begun = await begin();
    await said("$/progress", begun.since, ({ value }) => value.message === "looking for the files that change");
    const editor = await open(STOCK);
    await editor.edit((builder) => edit(builder, editor.document));
    return begun;
  });
  return change;
}

module.exports = {
  async "a refactor over three files and a new one is shown, then applied"() {
    const { ended, edit, since } = await begin();
    const { params } = await edit();
    unchanged();
    assert.ok(!fs.existsSync(at(TAXES).fsPath));
    assert.ok(params.edit.documentChanges.length >= 5, JSON.stringify(params.edit));
    assert.equal((await press("apply", ended)).applied, true);
    for (const [name, text] of Object.entries(say.refactored)) {
      await until(`${name} is saved`, () => fs.existsSync(at(name).fsPath) && onDisk(name) === text);
    }
    const lines = sent("$/progress", since).map(({ params: { value } }) => value.message);
    assert.ok(lines.includes("writing shop/taxes.py (4 of 4)"), lines.join("\n"));
  },

  async "a refactor that is discarded changes nothing, and says so"() {
    const { ended, edit, since } = await begin();
    await edit();
    const { applied, reason } = await press("discard", ended);
    assert.deepEqual([applied, reason], [false, "you discarded it"]);
    unchanged();
    assert.ok(!fs.existsSync(at(TAXES).fsPath));
    assert.match(shown((await said("window/showMessage", since)).params), /you discarded it/);
    assert.ok(vscode.workspace.textDocuments.every(({ isDirty }) => !isDirty));
  },

  async "a file that changed elsewhere while a refactor was made is followed"() {
    const change = await meanwhile((builder) => builder.insert(new vscode.Position(0, 0), "# new\n"));
    await change.edit();
    assert.equal((await press("apply", change.ended)).applied, true);
    assert.equal(change.document.getText(), `# new\n${say.refactored[STOCK]}`);
  },

  async "a file that changed at the same place makes a refactor stale, and the reason is told"() {
    const change = await meanwhile((builder, document) => {
      const place = document.getText().indexOf(say.constant);
      const range = new vscode.Range(document.positionAt(place), document.positionAt(place + say.constant.length));
      builder.replace(range, "TAX_PERCENT = 7");
    });
    assert.equal(await change.ended, undefined);
    assert.match(shown((await said("window/showMessage", change.since)).params), /changed at a place that the edit changes/);
    assert.deepEqual(sent("workspace/applyEdit", change.since), []);
    assert.ok(change.document.getText().includes("TAX_PERCENT = 7"));
  },

  async "a refactor whose file changes while it is shown is refused with the reason"() {
    const { ended, edit, document } = await begin();
    await edit();
    const editor = await open(STOCK);
    await editor.edit((builder) => builder.insert(new vscode.Position(0, 0), "# new\n"));
    const { applied, reason } = await press("discard", ended);
    assert.deepEqual([applied, reason], [false, "a file was changed meanwhile"]);
    assert.equal(document.getText(), `# new\n${say.files[STOCK]}`);
  },

  async "a refactor is cancelled, and leaves nothing behind"() {
    const api = await ready();
    const { ended, since } = await begin(say.slowInstruction);
    const { params: begun } = await said("$/progress", since, ({ value }) => value.kind === "begin" && value.cancellable);
    await until("there is something to cancel", () => api.working().length === 1);
    assert.match(api.working()[0], /think about it/);
    await vscode.commands.executeCommand("qwenLsp.cancel");
    assert.equal(await ended, undefined);
    const ends = ({ token, value }) => token === begun.token && value.kind === "end";
    assert.equal((await said("$/progress", since, ends)).params.value.message, "cancelled");
    assert.equal((await said("window/workDoneProgress/cancel", since)).params.token, begun.token);
    await until("nothing is shown as being worked on", () => api.working().length === 0);
    assert.deepEqual([sent("window/showMessage", since), sent("workspace/applyEdit", since)], [[], []]);
    unchanged();
  },

  async "a comment directive is an action, and its change is shown first"() {
    await ready();
    await pristine();
    const editor = await open(STOCK);
    await editor.edit((builder) => builder.insert(new vscode.Position(0, 0), `# qwen: ${say.instruction}\n`));
    const { document } = editor;
    const since = now();
    const action = await until("the directive is offered", async () => {
      const found = await actions(document, new vscode.Range(0, 2, 0, 2));
      return found.find(({ title }) => title === `Qwen: ${say.instruction}`);
    });
    const ended = vscode.commands.executeCommand(action.command.command, ...action.command.arguments);
    await said("workspace/applyEdit", since);
    unchanged();
    assert.equal((await press("apply", ended)).applied, true);
    assert.equal(document.getText(), say.refactored[STOCK]); // the comment went with the edit
  },

  async "what an action explains is shown"() {
    await ready();
    await pristine();
    const { document } = await open(STOCK);
    const place = document.positionAt(document.getText().indexOf("def add"));
    const action = await until("an explanation is offered", async () => {
      const found = await actions(document, new vscode.Range(place, place));
      return found.find(({ title }) => title === "Qwen: explain add");
    });
    const result = await vscode.commands.executeCommand(action.command.command, ...action.command.arguments);
    assert.equal(result.markdown.trim(), say.explained);
    const text = await until("a tab has it", () =>
      vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === "qwen" && uri.path === "/explanation.md"));
    assert.equal(text.getText().trim(), say.explained);
  },
};
