// Runs named checks one after the other inside VS Code's extension host, and writes down what became of each.
// Knows no check.

const fs = require("node:fs");
const vscode = require("vscode");

const WAIT_MS = 60_000; // a daemon that starts on a busy machine
const POLL_MS = 100; // a look may read all that was said: more of them would slow down what is waited for

/** What `check` returns, once it is true; `what` names it where it never is. */
async function until(what, check, timeoutMs = WAIT_MS) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Run all, also after a failure. A line of JSON each in the file that QWEN_TEST_OUTCOMES names. */
async function runAll(checks) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const begun = Date.now();
    let error = "";
    let note = "";
    try {
      note = (await check()) ?? "";
    } catch (reason) {
      failed += 1;
      error = String(reason?.stack ?? reason);
    }
    const line = { name, error, note, ms: Date.now() - begun };
    fs.appendFileSync(process.env.QWEN_TEST_OUTCOMES, `${JSON.stringify(line)}\n`);
    await vscode.commands.executeCommand("workbench.action.closeAllEditors").then(undefined, () => undefined);
  }
  if (failed > 0) throw new Error(`${failed} failed`);
}

module.exports = { until, runAll };
