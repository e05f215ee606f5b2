// What is checked inside VS Code's extension host, with the packaged extension and the real server. The scripted
// engine's answers are in project.py.

const assert = require("node:assert/strict");
const vscode = require("vscode");
const { runAll, until } = require("./harness");
const finding = require("./finding");
const refactors = require("./refactors");
const { daemon, held, now, said, sent, traffic } = require("./wire");
const { actions, extension, open, ready, take, type } = require("./window");

const say = JSON.parse(process.env.QWEN_TEST_ANSWERS);
const TOTAL = `    ${say.totalTyped}`; // a method of the class
const TAKEN = `${TOTAL}\n${say.total}`;
const settings = () => vscode.workspace.getConfiguration("qwen");
const set = (name, value) => settings().update(name, value, vscode.ConfigurationTarget.Global);

/** The actions that the server answered with, as they were sent: VS Code keeps their data for itself. */
const offered = (since) => traffic().slice(since).flatMap(({ message }) => Array.isArray(message?.result) ? message.result : []);

/** What `ask` asks for is made, and passed on later than the 750 ms that VS Code waits for what comes by itself. */
async function late(editor, ask, taken) {
  const since = now();
  const pids = traffic().filter(({ start }) => start).map(({ session }) => session);
  await held(async () => {
    void ask(); // where a key asked, VS Code waits for the answer
    await said("textDocument/inlineCompletion", since);
    process.kill(pids.at(-1), "SIGSTOP"); // what passes the messages on
  });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  process.kill(pids.at(-1), "SIGCONT");
  await until("it can be taken", async () => {
    await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
    return editor.document.getText().trimEnd().endsWith(taken);
  });
}

const checks = {
  async "the extension activates in under 300 ms"() {
    const { activationMs, activationCpuMs } = await ready();
    const note = `${activationMs.toFixed(1)} ms, ${activationCpuMs.toFixed(1)} ms of CPU`;
    assert.ok(activationCpuMs < 300, note); // by the clock it is the machine's load that is measured
    return note;
  },

  async "every command of package.json exists"() {
    await ready();
    const there = new Set(await vscode.commands.getCommands());
    const promised = extension().packageJSON.contributes.commands.map(({ command }) => command);
    assert.deepEqual(promised.filter((command) => !there.has(command)), []);
  },

  async "the status bar says that the engine is ready, and which model it has"() {
    const api = await ready();
    const { kind, status } = api.shown();
    assert.equal(kind, "running");
    assert.equal(status.state, "ready");
    assert.equal(status.model, "scripted");
  },

  async "a suggestion is accepted"() {
    await ready();
    const editor = await open("shop/stock.py", TOTAL);
    assert.equal((await take(editor)).trimEnd().slice(-TAKEN.length), TAKEN);
  },

  async "a suggestion is accepted word by word and line by line"() {
    await ready();
    const editor = await open("shop/stock.py", TOTAL);
    const [first] = say.total.split("\n");
    const word = await take(editor, "editor.action.inlineSuggest.acceptNextWord");
    const taken = word.slice(word.indexOf(TOTAL) + TOTAL.length + 1);
    assert.ok(first.startsWith(taken) && taken.length < first.length, JSON.stringify(taken));
    await until("the rest of the line", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextLine");
      return editor.document.getText().includes(`${TOTAL}\n${first}`);
    });
  },

  async "what is typed goes on with the suggestion"() {
    await ready();
    const editor = await open("shop/stock.py", TOTAL);
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    await type(say.total.slice(0, 12));
    assert.equal((await take(editor)).trimEnd().slice(-TAKEN.length), TAKEN);
  },

  async "an answer that comes late to a key is shown all the same"() {
    await ready();
    const editor = await open("shop/stock.py", TOTAL);
    await late(editor, () => vscode.commands.executeCommand("editor.action.inlineSuggest.trigger"), TAKEN);
  },

  async "a code action is listed, and applied"() {
    await ready();
    const { document } = await open("shop/stock.py");
    const place = document.positionAt(document.getText().indexOf("pass"));
    const [action] = await until("the action is listed with its edit", async () => {
      const found = await actions(document, new vscode.Range(place, place), 10);
      return found.some(({ edit }) => edit) && found.filter(({ edit }) => edit);
    });
    assert.ok(await vscode.workspace.applyEdit(action.edit));
    assert.ok(document.getText().includes(`def is_empty(self):\n        ${say.isEmpty}\n`), document.getText());
  },

  async "an edit made for an older version is refused"() {
    await ready();
    const since = now();
    const editor = await open("shop/stock.py");
    const place = editor.document.positionAt(editor.document.getText().indexOf("pass"));
    await actions(editor.document, new vscode.Range(place, place));
    const fill = await until("the action is sent", () => offered(since).find(({ title }) => title.includes("fill in is_empty")));
    assert.equal(fill.data.version, editor.document.version); // what the server is given back when it is chosen
    await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), "# changed\n"));
    const before = editor.document.getText();
    const refused = await vscode.commands.executeCommand("qwen.applyAction", fill.data);
    assert.equal(refused, undefined);
    const { params } = await said("window/showMessage", since);
    assert.match(params.message, /the file changed since the action was offered/);
    assert.deepEqual(sent("workspace/applyEdit", since), []);
    assert.equal(editor.document.getText(), before);
  },

  async "a daemon that is killed comes back"() {
    const api = await ready();
    const { pid } = daemon();
    process.kill(pid, "SIGKILL");
    const editor = await open("shop/stock.py", TOTAL.slice(0, -1), "");
    await type(":\n"); // VS Code asks by itself, and gives up before the daemon is there
    // It asks again when the server says that the suggestion has come after all: nothing else triggers it here.
    const first = `${TOTAL}\n${say.total.slice(0, 15)}`; // what a busy machine makes in time can be less than all
    await until("the suggestion after the kill", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
      return editor.document.getText().includes(first);
    });
    await until("ready again", () => api.statusText().endsWith("ready"));
    assert.notEqual(daemon().pid, pid);
  },

  async "a server that is killed comes back"() {
    const api = await ready();
    const pids = traffic().filter(({ start }) => start).map(({ session }) => session);
    process.kill(pids.at(-1), "SIGTERM");
    await until("the connection is seen to be gone", () => !api.statusText().endsWith("ready"));
    await ready();
    const editor = await open("shop/stock.py", TOTAL);
    assert.equal((await take(editor)).trimEnd().slice(-TAKEN.length), TAKEN);
  },

  // After those that edit stock.py: the prompt tells what was typed here, and the scripted answers go by the prompt.
  async "an answer that comes late to what was typed is shown all the same"() {
    await ready();
    const editor = await open("shop/basket.py", say.priceTyped.slice(0, -1), "");
    await late(editor, () => type(":\n"), say.price);
  },

  async "a file with emoji and CRLF keeps both"() {
    await ready();
    const editor = await open("shop/basket.py", say.priceTyped);
    assert.equal(editor.document.eol, vscode.EndOfLine.CRLF);
    const before = editor.document.getText();
    assert.equal((await take(editor)).trimEnd(), before + say.price);
  },

  async "settings reach the server when they change, and only those that were set"() {
    await ready();
    await set("completion.contextTokens", 0);
    await until("the server is told", () => sent("workspace/didChangeConfiguration").length > 0);
    await set("completion.contextTokens", undefined);
    await ready();
  },

  async "without a server there is an offer, not silence"() {
    const api = await ready();
    const configured = settings().get("server.command");
    await set("server.command", undefined);
    await until("no server is found", () => api.shown().kind === "missing");
    assert.match(api.statusText(), /no server/);
    await set("server.command", ["/nowhere/qwen-lsp"]);
    await until("the server can not be started", () => api.shown().kind === "stopped");
    await set("server.command", configured);
    await ready();
  },
};

exports.run = () => runAll({ ...checks, ...finding, ...refactors });
