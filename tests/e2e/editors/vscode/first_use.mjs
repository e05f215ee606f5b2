// What a newcomer does in the window after the README: open a file, type, take what is shown. What it says is the model's.

import assert from "node:assert/strict";
import { play } from "./page.mjs";

export const run = (page, job) => play(steps, page, job);

const bare = (text) => text.replace(/\s+/g, "");

const steps = {
  async "the server is found and ready"(window) {
    await window.open("stock.py");
    await window.status("Qwen: ready");
  },

  async "ghost text is shown and taken"(window) {
    const { page, job } = window;
    await page.keyboard.press("Control+End");
    const [head, begun] = job.typed;
    await page.keyboard.type(`\n    ${head}\n        ${begun}`);
    const shown = await window.until("ghost text", () => window.suggested());
    await page.keyboard.press("Tab");
    await window.until("it is text and no longer a ghost", async () => (await window.suggested()) !== shown);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+s");
    const taken = await window.until("it is saved", () => bare(window.onDisk("shop/stock.py")).split(bare(head + begun))[1]);
    assert.equal(taken, bare(shown));
  },
};
