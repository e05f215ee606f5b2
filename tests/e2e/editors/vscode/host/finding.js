// Where the extension finds a server that no setting names. Each place gets a program that starts the tests' own server.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const vscode = require("vscode");
const { until } = require("./harness");
const { ready } = require("./window");

const settings = () => vscode.workspace.getConfiguration("qwen");
const set = (command) => settings().update("server.command", command, vscode.ConfigurationTarget.Global);
const ON_PATH = process.env.QWEN_TEST_BIN;
const BY_PIPX = path.join(os.homedir(), ".local", "bin");
const quoted = (command) => command.map((part) => `'${part}'`).join(" ");
// As uvx does it with what it has cached: it fetches nothing, and only then answers.
const UVX = (command) => `[ "$1 $2" = "--offline qwen-lsp" ] || exit 2
[ "$3" != --version ] || exit 0
shift 2
exec ${command} "$@"
`;

function put(folder, name, text) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, name), `#!/bin/sh\n${text}`, { mode: 0o755 });
  return path.join(folder, name);
}

/** With no setting and this program there: the server comes from where it lies. */
async function found(folder, name, text, from) {
  const api = await ready();
  const configured = settings().get("server.command");
  const file = put(folder, name, text(quoted(configured)));
  try {
    await set(undefined);
    await until(`it comes from ${from}`, () => api.from() === from);
    await ready();
  } finally {
    fs.rmSync(file);
    await set(configured);
    await until("the setting counts again", () => api.from() === "the setting qwen.server.command");
    await ready();
  }
}

module.exports = {
  async "a server on the PATH is found"() {
    await found(ON_PATH, "qwen-lsp", (command) => `exec ${command} "$@"\n`, "the PATH");
  },

  async "a server that pipx or uv installed is found"() {
    await found(BY_PIPX, "qwen-lsp", (command) => `exec ${command} "$@"\n`, "where pipx and uv install");
  },

  async "a server that uvx has cached is found, and nothing is fetched"() {
    await found(ON_PATH, "uvx", UVX, "uv's cache");
  },

  async "a workspace's own server is found where the workspace is trusted"() {
    const [{ uri }] = vscode.workspace.workspaceFolders;
    assert.ok(vscode.workspace.isTrusted);
    const place = path.join(uri.fsPath, ".venv");
    await found(path.join(place, "bin"), "qwen-lsp", (command) => `exec ${command} "$@"\n`, "the workspace's .venv");
    fs.rmSync(place, { recursive: true });
  },
};
