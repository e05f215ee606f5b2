// What a user sees and does in one window, from a folder that is not trusted to one that is. The steps build on each
// other; pictures are made on the way.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { play, WAIT, words } from "./page.mjs";
import { difference, union } from "./pixels.mjs";

const ADD = 12, GROSS = 6, HEADER = 6; // the lines of functions, from 1; the last two in orders.py and report.py
const TAXES = "shop/taxes.py";
const CHECK = "grep -q TAX_PERCENT shop/taxes.py"; // the user's own, by a setting: it runs only where that is trusted

export const run = (page, job) => play(steps, page, job);

const unchanged = (window) =>
  Object.entries(window.answers.files).forEach(([name, text]) => assert.equal(window.onDisk(name), text));

async function ask(window, instruction) {
  await window.command("Qwen: Refactor Across Files");
  await window.find(".quick-input-title", "Refactor Across Files");
  await window.page.keyboard.type(instruction);
  await window.page.keyboard.press("Enter");
}

/** The edits that the editor was asked to apply, and the remarks on them. */
const proposed = (window) =>
  window.sent("workspace/applyEdit").map(({ params }) => Object.values(params.edit.changeAnnotations)[0].description);

/** A picture with the ghost text and one without it differ where the page says that it stands, and nowhere else. */
async function showsGhost(window) {
  const { page } = window;
  const { x, y, height } = await page.locator(".part.editor .monaco-editor .view-lines").first().boundingBox();
  const clip = { x, y, width: 800, height: Math.min(height, 500) };
  const place = await union(page, "[class*=ghost-text]");
  const shown = await page.screenshot({ clip });
  await page.keyboard.press("Escape");
  await window.until("the ghost text is gone", async () => (await window.suggested()) === "");
  const { n, ...seen } = await difference(page, shown, await page.screenshot({ clip }));
  assert.ok(n > 500, `${n} pixels differ`);
  const near = { left: 80, right: 12, top: 12, bottom: 12 }; // pixels; it begins with spaces
  for (const [side, at] of [["left", clip.x], ["right", clip.x], ["top", clip.y], ["bottom", clip.y]]) {
    const off = Math.abs(seen[side] + at - place[side]);
    assert.ok(off < near[side], `${side}: the pictures differ to ${seen[side] + at}, ghost text reaches to ${place[side]}`);
  }
}

const steps = {
  async "a folder that is not trusted has a server that runs none of its checks"(window) {
    await window.find(".statusbar-item", "Restricted Mode");
    await window.status("Qwen: ready");
    const asked = await window.until("trust is taken back", () => {
      const [found] = window.sent("workspace/executeCommand").filter(({ params }) => params.command === "qwen.trust");
      return found;
    });
    assert.deepEqual(asked.params.arguments, [{ trusted: false }]);
  },

  async "code actions are listed where the cursor is, and one is taken"(window) {
    const { page, answers } = window;
    await window.open("stock.py");
    await page.keyboard.press("Control+End");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("End");
    await window.listed("Qwen: fill in is_empty");
    await window.picture("code-actions", { x: 352, y: 30, width: 928, height: 600 });
    await page.keyboard.press("Enter");
    await window.find(".view-line", words(answers.isEmpty));
    await page.keyboard.press("Control+z");
    await window.find(".view-line", words("pass"));
    await window.command("File: Revert File");
  },

  async "what a line does is explained by the palette"(window) {
    const { answers } = window;
    await window.open("stock.py");
    await window.go(ADD);
    await window.command("Qwen: Explain");
    const [{ params }] = await window.until("the server is asked", () => {
      const asked = window.sent("workspace/executeCommand").filter(({ params }) => params.command === "qwen.explain");
      return asked.length > 0 && asked;
    });
    const [{ uri, range }] = params.arguments;
    assert.match(uri, /shop\/stock\.py$/);
    assert.deepEqual([range.start, range.end.line], [{ line: ADD - 1, character: 0 }, ADD - 1]);
    await window.find(".tab.active", "explanation.md");
    await window.reads(answers.explained);
    await window.close("explanation.md");
  },

  async "a refactor is shown in Refactor Preview, and discarded by its button"(window) {
    await window.open("orders.py");
    await ask(window, window.answers.instruction);
    await window.find(".bulk-edit-panel .monaco-list-row", "orders.py");
    await window.until("the remarks", () => proposed(window).length === 1);
    assert.match(proposed(window)[0], /4 files change.*not checked: commands run only in folders that you trust/);
    await window.click(".bulk-edit-panel .monaco-button", "Discard");
    await window.notification("you discarded it");
    unchanged(window);
    await window.clear();
  },

  async "trust is VS Code's first, then the user's for checks"(window) {
    await window.command("Qwen: Trust This Workspace for Checks");
    await window.click(".workspace-trust-buttons-row .monaco-button", /^Trust$/);
    await window.find(".workspace-trust-editor", "You trust this folder");
    await window.close("Workspace Trust");
    await window.until("the server is started again", () => window.sent("initialize").length === 2);
    await window.status("Qwen: ready");
    await window.command("Qwen: Trust This Workspace for Checks");
    await window.click(".monaco-dialog-box .monaco-button", /^Trust$/);
    await window.until("the server is told", () =>
      window.sent("workspace/executeCommand").some(({ params }) => params.arguments[0]?.trusted === true));
  },

  async "a refactor is made with what happens shown, checked, looked at and applied"(window) {
    await window.open("orders.py");
    await ask(window, window.answers.instruction);
    await window.find(".bulk-edit-panel .monaco-list-row", "taxes.py");
    await window.until("the remarks", () => proposed(window).length === 2);
    assert.match(proposed(window)[1], new RegExp(`passed: ${CHECK}`));
    await window.picture("refactor-preview");
    assert.equal(window.onDisk(TAXES), undefined);
    await window.click(".bulk-edit-panel .monaco-button", "Apply");
    for (const [name, text] of Object.entries(window.answers.refactored)) {
      await window.until(`${name} is saved`, () => window.onDisk(name) === text);
    }
    const done = await window.notification("the change is made");
    await done.locator(".monaco-button", { hasText: "Show Report" }).click();
    await window.close("refactor.md");
    await window.clear();
  },

  async "an action that a check finds fault with tells the finding before it is applied, and in its report"(window) {
    const { answers } = window;
    await window.open("orders.py");
    await window.go(GROSS);
    await window.action("Qwen: add types to gross");
    const finding = new RegExp(`1 new finding of checks; shop/orders\\.py:${GROSS}: error: ${answers.wrongType}`);
    await window.notification(finding);
    await window.find(".bulk-edit-panel .monaco-list-row", "orders.py");
    assert.equal(window.onDisk("shop/orders.py"), answers.refactored["shop/orders.py"]);
    await window.click(".bulk-edit-panel .monaco-button", "Apply");
    await window.find(".view-line", words("def gross(net: float) -> str:")); // VS Code saves after a change of several files
    const done = await window.notification("the change is made");
    await done.locator(".monaco-button", { hasText: "Show Report" }).click();
    await window.reads(`new finding: shop/orders.py:${GROSS}: error: ${answers.wrongType}`);
    await window.close("refactor.md");
    await window.clear();
    await window.open("orders.py");
    await window.command("File: Revert File");
  },

  async "an action whose result does not parse is refused in words"(window) {
    await window.open("report.py");
    await window.go(HEADER);
    await window.action("Qwen: add types to header");
    await window.notification("add types to header: shop/report.py would have 2 syntax errors");
    assert.equal(window.onDisk("shop/report.py"), window.answers.refactored["shop/report.py"]);
    await window.clear();
  },

  async "what is being made is cancelled by the button of its notification"(window) {
    await window.open("orders.py");
    await ask(window, window.answers.slowInstruction);
    const shown = await window.notification(/think about it.*looking for the files/s);
    await shown.locator(".monaco-button", { hasText: "Cancel" }).click();
    const ended = () => window.sent("$/progress").some(({ params: { value } }) => value.message === "cancelled");
    await window.until("the work is ended", ended);
    await shown.waitFor({ ...WAIT, state: "hidden" });
    await window.clear();
  },

  async "the menu of the status bar pauses and resumes, and shows why, the context, models and the log"(window) {
    const { page } = window;
    await window.menu("Open log");
    await window.picture("menu", { x: 320, y: 30, width: 640, height: 360 });
    await window.click(".quick-input-list .monaco-list-row", "Pause or resume");
    await window.status("Qwen: paused");
    await (await window.menu("Pause or resume")).click();
    await window.status("Qwen: ready");
    for (const [entry, tab] of [["Why is there", "why.md"], ["Show context", "context.md"]]) {
      await window.open("report.py");
      await (await window.menu(entry)).click();
      await window.close(tab);
    }
    await (await window.menu("Choose model")).click();
    await window.find(".quick-input-title", "Model (now");
    await page.keyboard.press("Escape");
    await (await window.menu("Open log")).click();
    await window.find(".part.panel .action-item.checked", "Output");
  },

  async "ghost text is shown, typed through and taken"(window) {
    const { page, answers } = window;
    await window.open("stock.py");
    await page.keyboard.press("Control+End");
    await page.keyboard.type(`\n    ${answers.totalTyped}\n`);
    const [first, second] = answers.total.split("\n");
    await window.ghost(second);
    await window.picture("ghost-text", { x: 352, y: 30, width: 928, height: 476 });
    await showsGhost(window);
    await window.command("Trigger Inline Suggestion");
    await window.ghost(second);
    await page.keyboard.type(first.slice(0, 14), { delay: 40 });
    await window.ghost(first.slice(14).trim());
    await page.keyboard.press("Tab");
    await window.find(".view-line", words(first));
  },
  async "where no server is found there is an offer, and its buttons work"(window) {
    const { job } = window;
    const file = path.join(job.scratch, "user", "Machine", "settings.json");
    const before = fs.readFileSync(file, "utf8");
    const { "qwen.server.command": command, ...others } = JSON.parse(before);
    fs.writeFileSync(file, JSON.stringify(others));
    await window.status("Qwen: no server");
    const shown = await window.notification("the language server qwen-lsp was not found");
    const buttons = await shown.locator(".monaco-button").allInnerTexts();
    assert.deepEqual(buttons.filter((text) => text.trim()), ["Choose Program…", "How to Install", "Look Again"]);
    await shown.locator(".monaco-button", { hasText: "How to Install" }).click();
    await window.close("README.md");
    await window.clear();
    const program = path.join(job.scratch, "bin", "qwen-lsp");
    fs.mkdirSync(path.dirname(program), { recursive: true });
    fs.writeFileSync(program, `#!/bin/sh\nexec ${command.map((part) => `'${part}'`).join(" ")} "$@"\n`, { mode: 0o755 });
    await (await window.menu("Look again")).click();
    await window.status("Qwen: ready");
    fs.rmSync(program);
    fs.writeFileSync(file, before);
    await window.status("Qwen: ready");
  },
};
