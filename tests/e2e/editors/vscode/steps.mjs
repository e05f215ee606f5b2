// What a user sees and does in the window, by keyboard: ghost text comes, is typed through, and is taken with Tab.

import fs from "node:fs";
import path from "node:path";

const WAIT = { timeout: 30_000 };

export async function run(page, job) {
  const steps = { "ghost text is shown, typed through and taken": () => ghostText(page, job) };
  let failed = 0;
  for (const [name, step] of Object.entries(steps)) {
    const begun = Date.now();
    const error = await step().then(() => "", (reason) => String(reason.stack));
    failed += error ? 1 : 0;
    const line = { name, error, ms: Date.now() - begun };
    fs.appendFileSync(job.outcomes, `${JSON.stringify(line)}\n`);
    if (error) await page.screenshot({ path: path.join(job.scratch, "failed.png") });
  }
  return failed === 0 ? 0 : 1;
}

async function ghostText(page, job) {
  await page.locator(".statusbar-item", { hasText: "Qwen: ready" }).waitFor(WAIT);
  await page.keyboard.press("Control+p");
  await page.keyboard.type("orders.py", { delay: 20 });
  await page.locator(".quick-input-list .monaco-list-row", { hasText: "orders.py" }).first().waitFor(WAIT);
  await page.keyboard.press("Enter");
  await page.locator(".monaco-editor .view-line").first().click(WAIT);
  await page.keyboard.press("Control+End");
  await page.keyboard.type(`\n    ${job.answers.totalTyped}\n`);
  const [first] = job.answers.total.split("\n");
  await shown(page, first);
  await page.screenshot({ path: path.join(job.scratch, "ghost-text.png") });
  await page.keyboard.type(first.slice(0, 14), { delay: 40 });
  await shown(page, first.slice(14).trim());
  await page.keyboard.press("Tab");
  await page.locator(".view-line", { hasText: words(first) }).first().waitFor(WAIT);
}

/** The page shows spaces as no-break ones, and ghost text in pieces. */
async function shown(page, text) {
  const wanted = text.replace(/\s+/g, "");
  await page.waitForFunction(
    (sought) => {
      const pieces = [...document.querySelectorAll("[class*=ghost-text]")].map(({ textContent }) => textContent);
      return pieces.join("").replace(/\s+/g, "").includes(sought);
    },
    wanted,
    WAIT,
  );
}

const words = (text) => new RegExp(text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+"));
